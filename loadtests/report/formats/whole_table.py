"""Tables whose figures are never cut: a narrower form where one fits, else a wider line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

_UNBOUNDED: Final = 100_000


class WholeTable:
    """The first of its forms that fits the console; the last one as wide as it has to be.

    rich cuts a cell that does not fit and ends it with "…", also a figure.
    """

    def __init__(self, *forms: Table | Callable[[], Table]) -> None:
        self._forms = forms

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the form; lines may be longer than the console is wide."""
        for form in self._forms:
            table = form if isinstance(form, Table) else form()
            needed = least_width(console, table)
            if needed <= options.max_width:
                break
        yield from console.render(table, options.update(width=max(options.max_width, needed)))


def least_width(console: Console, table: Table) -> int:
    """Columns that the table takes with no cell cut; cells that may wrap count by longest word."""
    options = console.options.update(width=_UNBOUNDED)
    foldable = 0
    for column in table.columns:
        cells = [column.header, *column.cells]
        sizes = [Measurement.get(console, options, cell) for cell in cells]
        if not column.no_wrap:
            foldable += max(s.maximum for s in sizes) - max(s.minimum for s in sizes)
    return Measurement.get(console, options, table).maximum - foldable
