"""`series.csv`: a row for each series and time, for spreadsheets and scripts."""

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
)


def render_csv(page: Page) -> str:
    """Milliseconds to six significant digits; empty where there are too few calls."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in page.series:
        for metric in METRICS:
            histogram = one.histograms.get(metric)
            if histogram is not None and histogram.total:
                writer.writerow([*_names(one, metric), *_figures(page, one, metric)])
    return out.getvalue()


def _names(one: ReportSeries, metric: str) -> Iterator[str]:
    for text in (one.subject.backend, one.subject.driver, one.pattern, metric):
        # a spreadsheet must not take a name for a formula
        yield "'" + text if text.startswith(("=", "+", "-", "@")) else text


def _figures(page: Page, one: ReportSeries, metric: str) -> Iterator[str | int]:
    yield from (one.calls, one.failed, one.unfinished)
    yield _ms(one.mean_ms(metric))
    yield from (_ms(one.quantile_ms(metric, q)) for q in QUANTILES.values())
    yield _ms(one.histograms[metric].max_ns() / 1e6)
    for name in ("p50", "p99"):
        found = page.judged.estimate(one.subject, one.pattern, metric, name)
        yield _ms(found.low_ms if found else None)
        yield _ms(found.high_ms if found else None)
    yield page.judged.status_of(one.subject, one.pattern) if metric == page.metric else ""


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
