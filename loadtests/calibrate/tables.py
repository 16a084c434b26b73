"""The calibration as a table, for the terminal and for a document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.calibrate.figures import JUDGED, CalibrationCell
from loadtests.calibrate.noise import NoisyCell

_NAMES: Final = (
    "server",
    "rate/s",
    "CPU",
    "",
    "true",
    "reported",
    "round trip",
    "conventional",
    "",
)
_NOISE_NAMES: Final = ("server", "rate/s", "left out", "", "true", "all calls", "undisturbed", "")
_RIGHT: Final = "✓"
_WRONG: Final = "✗"
_STYLES: Final = {_RIGHT: "green", _WRONG: "bold red"}


def terminal_table(cells: Sequence[CalibrationCell]) -> Table:
    """All cells, one row per percentile."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="milliseconds", title_justify="left")
    for name in _NAMES:
        table.add_column(name, justify="left" if name == "server" else "right")
    for cell in cells:
        for *texts, mark in _rows(cell):
            table.add_row(*texts, Text(mark, _STYLES.get(mark, "dim")))
        table.add_section()
    return table


def markdown_table(cells: Sequence[CalibrationCell]) -> str:
    """The same in Markdown."""
    lines = [
        "| server | rate/s | generator CPU | | true | reported | round trip | conventional | |",
        "|---|---:|---:|---|---:|---:|---:|---:|---|",
        *(f"| {' | '.join(row)} |" for cell in cells for row in _rows(cell)),
    ]
    return "\n".join(lines) + "\n"


def noise_table(cells: Sequence[NoisyCell]) -> Table:
    """Cells under injected stalls: ground truth, all calls and undisturbed calls."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="milliseconds", title_justify="left")
    for name in _NOISE_NAMES:
        table.add_column(name, justify="left" if name == "server" else "right")
    for cell in cells:
        for *texts, mark in _noise_rows(cell):
            table.add_row(*texts, Text(mark, _STYLES.get(mark, "dim")))
        table.add_section()
    return table


def noise_markdown(cells: Sequence[NoisyCell]) -> str:
    """The same in Markdown."""
    lines = [
        "| server | rate/s | left out | | true | all calls | undisturbed | |",
        "|---|---:|---:|---|---:|---:|---:|---|",
        *(f"| {' | '.join(row)} |" for cell in cells for row in _noise_rows(cell)),
    ]
    return "\n".join(lines) + "\n"


def _noise_rows(cell: NoisyCell) -> Iterator[tuple[str, ...]]:
    head = (cell.script, f"{cell.rate_per_s:,.0f}", f"{cell.left_out:.0%}")
    for name in cell.undisturbed_ms:
        mark = ""
        if name in JUDGED:
            right = cell.within(name, cell.undisturbed_ms)
            mark = "not judged" if cell.excuse else _RIGHT if right else _WRONG
        columns = (cell.true_ms, cell.all_ms, cell.undisturbed_ms)
        yield (*head, name, *(_ms(percentiles[name]) for percentiles in columns), mark)
        head = ("", "", "")


def dispatch_delay_lines(cells: Sequence[CalibrationCell]) -> list[str]:
    """One sentence per rate on the dispatch delay: median of the judged cells, worst of all."""
    lines = []
    for rate_per_s in sorted({cell.rate_per_s for cell in cells}):
        delays = [
            (cell.dispatch_delay_p99_ms, cell)
            for cell in cells
            if cell.rate_per_s == rate_per_s and cell.dispatch_delay_p99_ms is not None
        ]
        judged_ms = [delay_ms for delay_ms, cell in delays if cell.judged]
        if judged_ms:
            worst_ms, worst = max(delays, key=lambda pair: pair[0])
            lines.append(
                f"Dispatch delay at {rate_per_s:,.0f}/s: p99 {median(judged_ms):.2f} ms"
                f" (median of {len(judged_ms)} cells; worst {worst_ms:.2f}: {worst.script})."
            )
    return lines


def _rows(cell: CalibrationCell) -> Iterator[tuple[str, ...]]:
    head = (cell.script, f"{cell.rate_per_s:,.0f}", f"{cell.generator_cpu:.0%}")
    for name in cell.reported_ms:
        mark = ""
        if name in JUDGED:
            mark = (_RIGHT if cell.within(name) else _WRONG) if cell.judged else "not judged"
        yield (
            *head,
            name,
            _ms(cell.true_ms[name]),
            _ms(cell.reported_ms[name]),
            _ms(cell.round_trip_ms.get(name, math.nan)),
            _ms(cell.conventional_ms.get(name, math.nan)),
            mark,
        )
        head = ("", "", "")


def _ms(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
