"""The table that ends a gate in the terminal: access pattern × backend, p50, p99 and verdict."""

from __future__ import annotations

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.measure.results import Run
from loadtests.report.capacity import is_climb
from loadtests.report.formats.terminal_capacity import climb_screen
from loadtests.report.page import Cell, Page, build_page
from loadtests.report.verdict_view import NOT_JUDGED

STYLES: Final = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "INVALID": "magenta",
    NOT_JUDGED: "dim",
}
_SHORT: Final = {"INCONCLUSIVE": "INCONCL.", NOT_JUDGED: "–"}


def terminal_table(run: Run | Page) -> Table:
    """The run's p50 and p99 in milliseconds, with verdicts, for `rich` to print."""
    page = run if isinstance(run, Page) else build_page(run)
    if is_climb(page.run):
        return climb_screen(page, STYLES)
    aim = page.target_ms("p99")
    target = f", target p99 {aim:g} ms" if aim is not None else ""
    table = Table(
        title=f"{page.metric_words} in ms{target}",
        caption=Text(f"{page.judged.status}: {page.judged.sentence}"),
        caption_style="",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("access pattern", no_wrap=True)
    for subject in page.subjects:
        table.add_column(f"{subject.label}\np50", justify="right", no_wrap=True)
        table.add_column("\np99", justify="right", no_wrap=True)
        table.add_column("\nverdict", no_wrap=True)
    for pattern in page.patterns:
        cells: list[Text] = [Text(pattern)]
        for subject in page.subjects:
            row = page.row(pattern, subject)
            if row is None:
                cells += [Text("–", style="dim")] * 3
                continue
            cells += [_time(row.p50), _time(row.p99)]
            word = _SHORT.get(row.status, row.status)
            cells.append(Text(word, style=STYLES.get(row.status, "")))
        table.add_row(*cells)
    return table


def _time(cell: Cell) -> Text:
    if not cell.value.known:
        return Text("too few", style="dim")
    return Text(cell.value.text.removesuffix(" ms"), style="red" if cell.over else "")
