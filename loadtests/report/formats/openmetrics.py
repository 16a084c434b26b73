"""`metrics.prom`: the final figures as OpenMetrics text, for Prometheus and its relatives.

Format: https://prometheus.io/docs/specs/om/open_metrics_spec/. Seconds, as that specification
asks. Quantiles that need more calls are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from loadtests.patterns import METRICS
from loadtests.report.figures.series import ReportSeries
from loadtests.report.figures.verdict_view import NOT_JUDGED, VERDICTS
from loadtests.report.formats.series_csv import QUANTILES
from loadtests.report.page import Page

PREFIX: Final = "cloudshelf_loadtest"


def render_openmetrics(page: Page) -> str:
    """The whole exposition, ending in `# EOF`."""
    return "\n".join(
        [*_run(page), *_times(page), *_counts(page), *_stalls(page), *_limits(page), "# EOF", ""]
    )


def _run(page: Page) -> Iterator[str]:
    info = page.run.info
    yield from _head(f"{PREFIX}_run", "info", "The run these figures are of.")
    yield _sample(
        f"{PREFIX}_run_info",
        {"run": info.id, "scenario": info.scenario, "started_at": info.started_at},
        1,
    )
    name = f"{PREFIX}_target"
    yield from _head(name, "info", "What each backend ran on.")
    for target in page.setting.targets:
        yield _sample(f"{name}_info", {"backend": target.backend, "label": target.name}, 1)
    name = f"{PREFIX}_verdict"
    yield from _head(name, "stateset", "The run's verdict.")
    for status in (*VERDICTS, NOT_JUDGED):
        yield _sample(name, {name: status}, int(status == page.judged.status))
    name = f"{PREFIX}_duration_seconds"
    yield from _head(name, "gauge", "Length of the measured part.", "seconds")
    yield _sample(name, {}, page.measured_s)


def _times(page: Page) -> Iterator[str]:
    for metric in METRICS:
        name = f"{PREFIX}_{metric}_seconds"
        yield from _head(name, "summary", f"{metric.replace('_', ' ')} of calls.", "seconds")
        for series in page.series:
            histogram, mean = series.histograms.get(metric), series.mean_ms(metric)
            if histogram is None or mean is None:
                continue
            labels = _labels(series)
            for q in QUANTILES.values():
                value = series.quantile_ms(metric, q)
                if value is not None:
                    yield _sample(name, labels | {"quantile": f"{q:g}"}, value / 1e3)
            yield _sample(f"{name}_count", labels, histogram.total)
            yield _sample(f"{name}_sum", labels, mean * histogram.total / 1e3)


def _counts(page: Page) -> Iterator[str]:
    name = f"{PREFIX}_calls"
    yield from _head(name, "gauge", "Calls made, failed and unfinished ones included.")
    for series in page.series:
        yield _sample(name, _labels(series), series.calls)
    name = f"{PREFIX}_errors"
    yield from _head(name, "gauge", "Failed calls by the error's name.")
    for series in page.series:
        for error, number in sorted(series.errors.items()):
            yield _sample(name, _labels(series) | {"error": error}, number)


def _stalls(page: Page) -> Iterator[str]:
    """Stalls of the machine, and the calls that none can have touched."""
    stalls = page.run.info.stalls
    if stalls is None or page.left_out is None:
        return
    for name, meaning, value in (
        ("stalls", "Stalls of the machine in the measured part.", stalls.stalls),
        ("dead_time_ratio", "Share of the measured time near a stall.", stalls.dead_time),
        ("left_out_ratio", "Share of the calls left out as disturbed.", stalls.left_out),
    ):
        yield from _head(f"{PREFIX}_{name}", "gauge", meaning)
        yield _sample(f"{PREFIX}_{name}", {}, value)
    for metric in METRICS:
        name = f"{PREFIX}_undisturbed_{metric}_seconds"
        meaning = f"{metric.replace('_', ' ')} of calls that no stall can have touched."
        yield from _head(name, "summary", meaning, "seconds")
        for one in page.series:
            for q in QUANTILES.values():
                value_ms = one.undisturbed_ms(metric, q)
                if value_ms is not None:
                    yield _sample(name, _labels(one) | {"quantile": f"{q:g}"}, value_ms / 1e3)
            if one.undisturbed is not None:
                calls = one.undisturbed[metric].total if metric in one.undisturbed else 0
                yield _sample(f"{name}_count", _labels(one), calls)


def _limits(page: Page) -> Iterator[str]:
    name = f"{PREFIX}_limit_status"
    yield from _head(name, "stateset", "The verdict on each limit.")
    for limit in page.judged.limits:
        labels = {
            "backend": limit.backend,
            "driver": limit.driver,
            "pattern": limit.pattern,
            "metric": limit.metric,
            "statistic": limit.statistic,
        }
        for status in VERDICTS:
            yield _sample(name, labels | {name: status}, int(status == limit.status))


def _labels(series: ReportSeries) -> dict[str, str]:
    return {
        "backend": series.subject.backend,
        "driver": series.subject.driver,
        "pattern": series.pattern,
    }


def _head(name: str, kind: str, meaning: str, unit: str = "") -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {meaning}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value:.10g}" if inner else f"{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
