"""The comparison report of several runs: its sections, HTML, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from loadtests.errors import UsageError
from loadtests.measure.results import PercentileRatio, Run
from loadtests.report.build import pictures, write_files
from loadtests.report.charts.bars import Bar, BarGroup, bars_chart
from loadtests.report.charts.chart import Chart, ChartTable, Entry
from loadtests.report.charts.drawing import draw
from loadtests.report.charts.forest import forest_chart
from loadtests.report.figures.ratios import SHOWN, ForestRow, RatioGroup
from loadtests.report.figures.rounding import MISSING, change, change_span, seconds
from loadtests.report.figures.series import SUBJECT_ROLES, ReportSeries, ReportSubject
from loadtests.report.formats.html import render_comparison
from loadtests.report.formats.markdown import comparison_summary
from loadtests.report.page import TableRow
from loadtests.report.sections import ReportSection, TitledTable
from loadtests.report.sides import Side, compare_pages


def build_comparison(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write `comparison.html`, `comparison.md` and `charts/` into `folder`; gives their paths.

    Raises UsageError for fewer than two different runs, ResultsError when nothing can be written.
    """
    if len({run.path for run in runs}) < 2:
        raise UsageError("A comparison needs two different runs.", hint="Name several run folders.")
    sides = compare_pages(runs)
    sections = list(_sections(sides))
    drawings = {chart.name: draw(chart) for section in sections for chart in section.charts}
    figures = [p.table for s in sections if s.anchor == "figures" for p in s.parts]
    files = {
        "comparison.html": render_comparison(sides, sections, drawings).encode(),
        "comparison.md": comparison_summary(sides, figures).encode(),
    }
    return write_files(folder, files | pictures(drawings))


def _sections(sides: Sequence[Side]) -> Iterator[ReportSection]:
    yield ReportSection("runs", "Runs", parts=(TitledTable("", _runs(sides)),))
    differing = [(s, s.differs) for s in sides if s.differs]
    if differing:
        yield ReportSection(
            "differences",
            "What differed",
            (
                "These runs were not made under the same conditions, so a ratio may show the "
                "difference in conditions.",
            ),
            parts=tuple(
                TitledTable(
                    f"A and {side.letter}", ChartTable(("Field: A, then the other",), _lines(texts))
                )
                for side, texts in differing
            ),
        )
    parts = tuple(TitledTable(f"{name} and its growth", _figures(sides, name)) for name in SHOWN)
    yield ReportSection("figures", "Figures", parts=parts)
    ratios = _forest(sides)
    if ratios:
        yield ReportSection("ratios", "Ratios to run A", charts=(ratios,))
    bars = [chart for chart in _bars(sides) if chart is not None]
    if bars:
        yield ReportSection("percentiles", "p50 and p99", charts=tuple(bars))


def _lines(texts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple((text,) for text in texts)


def _runs(sides: Sequence[Side]) -> ChartTable:
    rows = tuple(
        (
            side.letter,
            side.page.run.info.id,
            side.page.setting.started,
            side.page.judged.status,
            seconds(side.page.run.info.duration_s),
            f"{sum(s.calls for s in side.page.series):,}",
        )
        for side in sides
    )
    return ChartTable(("", "Run", "Started", "Verdict", "Measured", "Calls"), rows, figures_from=5)


def _figures(sides: Sequence[Side], name: str) -> ChartTable:
    head = ["Access pattern", "Backend", *(f"{name} {side.letter}" for side in sides)]
    head += [f"{side.letter} against A" for side in sides[1:]]
    places = list(dict.fromkeys((r.pattern, r.subject.backend) for s in sides for r in s.page.rows))
    return ChartTable(
        tuple(head), tuple(_figure_row(sides, *p, name) for p in places), figures_from=2
    )


def _figure_row(sides: Sequence[Side], pattern: str, backend: str, name: str) -> tuple[str, ...]:
    rows = [_find_row(side, pattern, backend) for side in sides]
    label = next((row.subject.label for row in rows if row), backend)
    cells = [(row.p50 if name == "p50" else row.p99) if row else None for row in rows]
    return (
        pattern,
        label,
        *(cell.value.text if cell else MISSING for cell in cells),
        *(_growth(side.rows.get((backend, pattern, name))) for side in sides[1:]),
    )


def _growth(row: PercentileRatio | None) -> str:
    if row is None:
        return MISSING
    low, high = (None if end is None else end - 1 for end in (row.low, row.high))
    return f"{change(row.ratio - 1).text} ({change_span(low, high)})"


def _find_row(side: Side, pattern: str, backend: str) -> TableRow | None:
    rows = (r for r in side.page.rows if (r.pattern, r.subject.backend) == (pattern, backend))
    return next(rows, None)


def _forest(sides: Sequence[Side]) -> Chart | None:
    groups = []
    for name in SHOWN:
        for backend, label in _backends(sides):
            ratios = [
                _ratio(series, side, number, name)
                for series in sides[0].page.series
                if series.subject.backend == backend
                for number, side in enumerate(sides[1:], 1)
            ]
            known = tuple(ratio for ratio in ratios if ratio is not None)
            groups.append(RatioGroup(f"{name} on {label}", known))
    return forest_chart(
        groups,
        name="ratios",
        title="Ratios to run A",
        caption="Each run's percentile over run A's, with its 95% interval. An interval that holds "
        "1 decides nothing; an arrow leaves the chart.",
        sides=("faster than A", "slower than A"),
        legend=tuple(Entry(s.letter, _role(n), "line") for n, s in enumerate(sides) if n),
    )


def _ratio(series: ReportSeries, side: Side, number: int, name: str) -> ForestRow | None:
    row = side.row(series, name)
    if row is None:
        return None
    return ForestRow(f"{series.pattern} {side.letter}", row.ratio, row.low, row.high, _role(number))


def _role(number: int) -> str:
    return SUBJECT_ROLES[number % len(SUBJECT_ROLES)]


def _backends(sides: Sequence[Side]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((s.backend, s.label) for side in sides for s in side.page.subjects))


def _bars(sides: Sequence[Side]) -> Iterator[Chart | None]:
    """A chart for each backend, the runs beside each other as its subjects."""
    for number, (backend, label) in enumerate(_backends(sides)):
        groups = []
        for name in SHOWN:
            bars = []
            for place, side in enumerate(sides):
                subject = ReportSubject(backend, side.letter, f"run {side.letter}", _role(place))
                for row in side.page.rows:
                    if row.subject.backend == backend:
                        cell = row.p50 if name == "p50" else row.p99
                        bars.append(
                            Bar(row.pattern, subject, cell.value, cell.low_ms, cell.high_ms)
                        )
            groups.append(BarGroup(name, tuple(bars), sides[0].page.line_ms))
        patterns = list(dict.fromkeys(bar.pattern for g in groups for bar in g.bars))
        chart = bars_chart(groups, patterns, f"{sides[0].page.metric_words} on {label}")
        yield replace(chart, name=f"p50_p99_{number}", title=label) if chart else None
