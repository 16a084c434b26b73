"""`metrics.prom`: the final figures in Prometheus' text format, version 0.0.4.

node_exporter's textfile collector and promtool read this format and no other: it has no `info` and
no `stateset` types, no units, no `# EOF`, and the collector refuses samples with timestamps
(https://prometheus.io/docs/instrumenting/exposition_formats/). Every sample has the label
`scenario`, because the collector also refuses a sample that occurs in two of its files, and one
gate writes a file for the load and one for the micro-benchmarks.

Times are in seconds. Quantiles that need more calls are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from loadtests.measure.histogram import Histogram
from loadtests.patterns import METRICS
from loadtests.report.figures.series import ReportSeries, mean_ms, quantile_ms
from loadtests.report.figures.verdict_view import NOT_JUDGED, VERDICTS
from loadtests.report.formats.series_csv import QUANTILES
from loadtests.report.page import Page

PREFIX: Final = "cloudshelf_loadtest"


def render_prometheus(page: Page) -> str:
    """The whole exposition."""
    text = _Exposition({"scenario": page.run.info.scenario})
    _add_run(text, page)
    _add_times(text, page)
    _add_counts(text, page)
    _add_stalls(text, page)
    _add_limits(text, page)
    return text.rendered()


class _Exposition:
    """Metric families in order; a sample that occurs twice is kept once."""

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = dict(common)
        self._lines: list[str] = []
        self._names: set[str] = set()

    def family(self, name: str, kind: Literal["gauge", "summary"], meaning: str) -> str:
        """Begin a family; its full name."""
        name = f"{PREFIX}_{name}"
        self._lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
        return name

    def sample(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Add a sample of the last family."""
        labels = self._common | dict(labels)
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        named = f"{name}{{{inner}}}"
        if named not in self._names:
            self._names.add(named)
            self._lines.append(f"{named} {value if isinstance(value, int) else f'{value:.10g}'}")

    def summary(self, name: str, labels: Mapping[str, str], calls: Histogram | None) -> None:
        """Quantiles as far as there are enough calls, their sum and their number."""
        total = calls.total if calls is not None else 0
        if calls is not None and total:
            for q in QUANTILES.values():
                value_ms = quantile_ms(calls, q)
                if value_ms is not None:
                    self.sample(name, {**labels, "quantile": f"{q:g}"}, value_ms / 1e3)
        mean_s = mean_ms(calls) / 1e3 if calls is not None and total else 0.0
        self.sample(f"{name}_sum", labels, mean_s * total)
        self.sample(f"{name}_count", labels, total)

    def rendered(self) -> str:
        """The text, with the newline that ends it."""
        return "\n".join([*self._lines, ""])


def _add_run(text: _Exposition, page: Page) -> None:
    info = page.run.info
    name = text.family("run_info", "gauge", "The run that these figures are of.")
    text.sample(name, {"run": info.id, "started_at": info.started_at}, 1)
    name = text.family("target_info", "gauge", "What each backend ran on.")
    for target in page.setting.targets:
        text.sample(name, {"backend": target.backend, "label": target.name}, 1)
    name = text.family("verdict", "gauge", "The verdict on the run: 1 for the one that it has.")
    for status in (*VERDICTS, NOT_JUDGED):
        text.sample(name, {"status": status}, int(status == page.judged.status))
    name = text.family("duration_seconds", "gauge", "Length of the measured part.")
    text.sample(name, {}, page.measured_s)


def _add_times(text: _Exposition, page: Page) -> None:
    for metric in METRICS:
        meaning = f"{metric.replace('_', ' ').capitalize()} of calls."
        name = text.family(f"{metric}_seconds", "summary", meaning)
        for series in page.series:
            histogram = series.histograms.get(metric)
            if histogram is not None and histogram.total:
                text.summary(name, _labels(series), histogram)


def _add_counts(text: _Exposition, page: Page) -> None:
    name = text.family("calls", "gauge", "Calls made, failed and unfinished ones included.")
    for series in page.series:
        text.sample(name, _labels(series), series.calls)
    name = text.family("errors", "gauge", "Failed calls by the error's name.")
    for series in page.series:
        for error, number in sorted(series.errors.items()):
            text.sample(name, _labels(series) | {"error": error}, number)


def _add_stalls(text: _Exposition, page: Page) -> None:
    """Stalls of the machine, and the calls that none can have touched."""
    stalls = page.run.info.stalls
    if stalls is None or page.left_out is None:
        return
    for name, meaning, value in (
        ("stalls", "Stalls of the machine in the measured part.", stalls.stalls),
        ("dead_time_ratio", "Share of the measured time near a stall.", stalls.dead_time),
        ("left_out_ratio", "Share of the calls left out as disturbed.", stalls.left_out),
    ):
        text.sample(text.family(name, "gauge", meaning), {}, value)
    for metric in METRICS:
        meaning = (
            f"{metric.replace('_', ' ').capitalize()} of calls that no stall can have touched."
        )
        name = text.family(f"undisturbed_{metric}_seconds", "summary", meaning)
        for series in page.series:
            if series.undisturbed is not None:
                text.summary(name, _labels(series), series.undisturbed.get(metric))


def _add_limits(text: _Exposition, page: Page) -> None:
    meaning = "The verdict on each limit: 1 for the one that it has."
    name = text.family("limit_status", "gauge", meaning)
    for limit in page.judged.limits:
        labels = {
            "backend": limit.backend,
            "driver": limit.driver,
            "pattern": limit.pattern,
            "metric": limit.metric,
            "statistic": limit.statistic,
        }
        for status in VERDICTS:
            text.sample(name, {**labels, "status": status}, int(status == limit.status))


def _labels(series: ReportSeries) -> dict[str, str]:
    return {
        "backend": series.subject.backend,
        "driver": series.subject.driver,
        "pattern": series.pattern,
    }


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
