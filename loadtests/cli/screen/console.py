"""Where a verb prints: how wide it is, and whether it is redrawn; colour is decided apart.

Colour is decided by rich: NO_COLOR, FORCE_COLOR and TTY_COMPATIBLE. A display that is redrawn
moves the cursor, so it takes a terminal, whatever is said of colour: in a file or the log of a CI
job it would leave thousands of copies.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Final

from rich.console import Console, RenderableType
from rich.table import Table

from loadtests.report.formats.whole_table import WholeTable

PLAIN_WIDTH: Final = 120  # of a file
_LEAST_WIDTH: Final = 20
_DUMB: Final = ("", "dumb", "unknown")


def open_console(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error; COLUMNS gives its width."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=_width(stream))


def is_redrawn(stream: IO[str]) -> bool:
    """Whether a display on the stream can be redrawn: a terminal that a person looks at."""
    environ = os.environ
    return (
        _is_terminal(stream)
        and environ.get("TERM", "") not in _DUMB
        and environ.get("TTY_COMPATIBLE", "") != "0"
        and environ.get("TTY_INTERACTIVE", "") != "0"
        and environ.get("CI", "").lower() in {"", "0", "false"}
    )


def print_whole(console: Console, *shown: RenderableType) -> None:
    """Print without cutting a figure or a line."""
    for each in shown:
        console.print(WholeTable(each) if isinstance(each, Table) else each, crop=False)


def _width(stream: IO[str]) -> int | None:
    """Columns; None lets rich ask the terminal again whenever it prints."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return max(int(given), _LEAST_WIDTH)
    if not _is_terminal(stream):
        return PLAIN_WIDTH
    if not given:
        return None
    try:  # COLUMNS says nothing, and rich would take it for a width of 0
        return os.get_terminal_size(stream.fileno()).columns or PLAIN_WIDTH
    except (OSError, ValueError):
        return PLAIN_WIDTH


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
