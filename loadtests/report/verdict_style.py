"""How a verdict looks: its colour, its mark and its short word, in every format."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from loadtests.report.figures.verdict_view import NOT_JUDGED, REFERENCE, ShownStatus

# Styles of `rich`. report.css has the same colours by status.
STYLES: Final[dict[ShownStatus, str]] = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "INVALID": "magenta",
    NOT_JUDGED: "dim",
    REFERENCE: "dim",
}
MARKS: Final[dict[ShownStatus, str]] = {
    "PASS": "✓",
    "FAIL": "✗",
    "INCONCLUSIVE": "?",
    "INVALID": "⊘",
    NOT_JUDGED: "–",
    REFERENCE: "–",
}
EMOJI: Final[dict[ShownStatus, str]] = {
    "PASS": "✅",
    "FAIL": "❌",
    "INCONCLUSIVE": "❓",  # the white one cannot be seen on a light page
    "INVALID": "⛔",
    NOT_JUDGED: "▫️",
    REFERENCE: "▫️",
}
_SHORT: Final[dict[ShownStatus, str]] = {
    "INCONCLUSIVE": "INCONCL.",
    NOT_JUDGED: "–",
    REFERENCE: "–",
}


def status_text(status: ShownStatus, word: str | None = None) -> Text:
    """The status as a short coloured word for a terminal table, or `word` in its colour."""
    return Text(word or _SHORT.get(status, status), style=STYLES[status])
