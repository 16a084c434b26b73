"""The calibration as a table, for the terminal and for docs/RESULTS.md."""

from __future__ import annotations

import math
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.calibrate.figures import JUDGED, CalibrationCell

_COLUMNS = ("server", "rate/s", "CPU", "", "truth", "reported", "floor", "usual test")


def terminal_table(cells: list[CalibrationCell]) -> Table:
    """All cells, a row a percentile."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="milliseconds", title_justify="left")
    for place, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if place == 0 else "right")
    table.add_column("")
    for cell in cells:
        for place, row in enumerate(_rows(cell)):
            first = (cell.script, f"{cell.rate_per_s:,.0f}", f"{cell.generator_cpu:.0%}")
            mark = row[-1]
            style = {"✓": "green", "✗": "bold red"}.get(mark, "dim")
            table.add_row(*(first if place == 0 else ("", "", "")), *row[:-1], Text(mark, style))
        table.add_section()
    return table


def markdown_table(cells: list[CalibrationCell]) -> str:
    """The same for a document."""
    lines = [
        "| server | rate/s | generator CPU | | truth | reported | floor | usual test | |",
        "|---|---:|---:|---|---:|---:|---:|---:|---|",
    ]
    for cell in cells:
        for place, row in enumerate(_rows(cell)):
            first = (cell.script, f"{cell.rate_per_s:,.0f}", f"{cell.generator_cpu:.0%}")
            lines.append("| " + " | ".join((*(first if place == 0 else ("", "", "")), *row)) + " |")
    return "\n".join(lines) + "\n"


def lateness_lines(cells: list[CalibrationCell]) -> list[str]:
    """How late the generator was, by rate: the median of the judged cells and the worst of all."""
    lines = []
    for rate_per_s in sorted({cell.rate_per_s for cell in cells}):
        told = [c for c in cells if c.rate_per_s == rate_per_s and c.lateness_p99_ms is not None]
        judged = [c.lateness_p99_ms for c in told if c.judged and c.lateness_p99_ms is not None]
        if judged:
            worst = max(told, key=lambda cell: cell.lateness_p99_ms or 0.0)
            lines.append(
                f"Arrivals at {rate_per_s:,.0f}/s were handed over {median(judged):.2f} ms late at"
                f" p99 (median of {len(judged)} cells; worst {worst.lateness_p99_ms:.2f}:"
                f" {worst.script})."
            )
    return lines


def _rows(cell: CalibrationCell) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in cell.reported:
        mark = ""
        if name in JUDGED:
            mark = ("✓" if cell.within(name) else "✗") if cell.judged else "not judged"
        rows.append(
            (
                name,
                _ms(cell.truth[name]),
                _ms(cell.reported[name]),
                _ms(cell.floor.get(name, math.nan)),
                _ms(cell.conventional.get(name, math.nan)),
                mark,
            )
        )
    return rows


def _ms(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
