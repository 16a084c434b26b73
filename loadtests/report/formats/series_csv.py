"""`series.csv`: a row for each series and time, for spreadsheets and scripts (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from loadtests.patterns import METRICS
from loadtests.report.figures.series import ReportSeries
from loadtests.report.page import Page

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
COLUMNS: Final = (
    "backend",
    "driver",
    "pattern",
    "metric",
    "calls",
    "errors",
    "unfinished",
    "mean_ms",
    *(f"{name}_ms" for name in QUANTILES),
    "max_ms",
    "p50_low_ms",
    "p50_high_ms",
    "p99_low_ms",
    "p99_high_ms",
    "verdict",
    "undisturbed_calls",
    "left_out",
    "undisturbed_p50_ms",
    "undisturbed_p99_ms",
    "target",
)


def render_csv(page: Page) -> str:
    """Milliseconds to six significant digits; empty where there are too few calls."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for series in page.series:
        for metric in METRICS:
            histogram = series.histograms.get(metric)
            if histogram is not None and histogram.total:
                row = [*_names(series, metric), *_figures(page, series, metric)]
                writer.writerow([_not_a_formula(cell) for cell in row])
    return out.getvalue()


def _not_a_formula(cell: str | int) -> str | int:
    """A spreadsheet must not take a text from outside for a formula.

    https://owasp.org/www-community/attacks/CSV_Injection. No figure is negative.
    """
    risky = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋"))
    return f"'{cell}" if risky else cell


def _names(series: ReportSeries, metric: str) -> Iterator[str]:
    yield from (series.subject.backend, series.subject.driver, series.pattern, metric)


def _figures(page: Page, series: ReportSeries, metric: str) -> Iterator[str | int]:
    yield from (series.calls, series.failed, series.unfinished)
    yield _ms(series.mean_ms(metric))
    yield from (_ms(series.quantile_ms(metric, q)) for q in QUANTILES.values())
    yield _ms(series.histograms[metric].max_ns() / 1e6)
    for name in ("p50", "p99"):
        estimate = page.judged.estimate(series.subject, series.pattern, metric, name)
        yield _ms(estimate.low_ms if estimate else None)
        yield _ms(estimate.high_ms if estimate else None)
    yield page.judged.status_of(series.subject, series.pattern) if metric == page.metric else ""
    yield from _undisturbed(page, series, metric)
    yield next((t.name for t in page.setting.targets if t.backend == series.subject.backend), "")


def _undisturbed(page: Page, series: ReportSeries, metric: str) -> Iterator[str | int]:
    """Calls that no stall of the machine can have touched; empty where none were left out."""
    if page.left_out is None or series.undisturbed is None or series.left_out is None:
        yield from [""] * 4
        return
    yield series.undisturbed[metric].total if metric in series.undisturbed else 0
    yield f"{series.left_out:.6g}"
    yield from (_ms(series.undisturbed_ms(metric, QUANTILES[name])) for name in ("p50", "p99"))


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
