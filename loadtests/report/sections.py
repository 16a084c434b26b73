"""The report's sections in reading order; one that has nothing to show says so or is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.report.chart_bars import Bar, BarGroup, bars_chart
from loadtests.report.charts import Chart, Table
from loadtests.report.page import Page


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it, in this order."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()


def sections_of(page: Page) -> list[Section]:
    """All sections of a single run's report."""
    return list(_sections(page))


def _sections(page: Page) -> Iterator[Section]:
    yield Section("verdicts", "Verdict for each access pattern", ())
    yield Section("percentiles", "p50 and p99", charts=_some(_bars(page)))
    yield Section(
        "setting",
        "Configuration and environment",
        tables=(
            ("Configuration", Table(("Setting", "Value"), page.setting.configuration)),
            ("Environment", Table(("What", "Found"), page.setting.environment)),
        ),
    )


def _some(*charts: Chart | None) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _bars(page: Page) -> Chart | None:
    groups = []
    for name in ("p50", "p99"):
        cells = [(r, r.p50 if name == "p50" else r.p99) for r in page.rows]
        bars = tuple(Bar(r.pattern, r.subject, c.value, c.low_ms, c.high_ms) for r, c in cells)
        groups.append(BarGroup(name, bars, page.target_ms(name) or page.target_ms("p99")))
    return bars_chart(groups, page.patterns, page.metric_words)
