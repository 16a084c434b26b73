"""`summary.md`: one screen for a pull-request comment or a CI step summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from loadtests.report.charts.capacity import steps_table
from loadtests.report.charts.chart import ChartTable
from loadtests.report.figures.capacity import is_capacity_run, steps_of
from loadtests.report.figures.rounding import clean, plain
from loadtests.report.opening import facts_of, notes_of, what_to_do
from loadtests.report.page import Page, TableCell, TableRow
from loadtests.report.sides import Side
from loadtests.report.verdict_style import EMOJI

LONGEST: Final = 60_000  # GitHub refuses comments above 65,536 characters
_MOST_SENTENCES: Final = 10
_MOST_UNDECIDED: Final = 3
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~#$])")
# GitHub links these by itself; a space of no width keeps it from that
_LINKS: Final = {"@": "@\u200b", "://": ":\u200b//", "www.": "www\u200b."}


def render_summary(page: Page) -> str:
    """The verdict, the table, and why a limit did not pass."""
    judged = page.judged
    parts = [
        f"### {EMOJI[judged.status]} {judged.status}: {words(judged.sentence)}",
        _opening(page),
        _figures(page),
        _missed(page),
        _facts(page),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return cut(text)


def comparison_summary(sides: Sequence[Side], figures: Sequence[ChartTable]) -> str:
    """`comparison.md`: each run against the first, and the figures."""
    runs = [f"- {side.letter}: {name(side.page.run.info.id)}" for side in sides]
    cautions = dict.fromkeys(side.page.setting.caution for side in sides)
    parts = [
        f"### {len(sides)} runs compared",
        "\n\n".join(f"**{words(side.sentence)}**" for side in sides[1:]),
        "\n".join(runs),
        *cautions,
        *(_plain_table(table) for table in figures),
    ]
    return cut("\n\n".join(part for part in parts if part) + "\n")


def _plain_table(table: ChartTable) -> str:
    head, *rows = ([words(cell) for cell in row] for row in (table.head, *table.rows))
    return "\n".join(table_line(row) for row in (head, ["---"] * len(head), *rows))


def words(text: str) -> str:
    """Text from outside with its Markdown and HTML made harmless, mentions and links too."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    for link, broken in _LINKS.items():
        text = text.replace(link, broken)
    return text


def name(text: str) -> str:
    """A name from outside as a code span inside a table."""
    return "`" + clean(text).replace("`", "ˋ").replace("|", "\\|") + "`"


def cut(text: str) -> str:
    """At most as much text as GitHub accepts."""
    if len(text) <= LONGEST:
        return text
    # at a line's end, so that no markup is left open
    return text[: text.rindex("\n", 0, LONGEST)] + "\n\n… cut; the report has the rest.\n"


def _opening(page: Page) -> str:
    setting = page.setting
    lines = [f"{words(setting.ran_on)} {words(setting.load)} {setting.caution}".strip()]
    if page.versus.sentence:
        lines.insert(0, f"**{words(page.versus.sentence)}**")
    lines += [f"> {words(note)}" for note in notes_of(page)]
    return "\n\n".join(lines)


def _figures(page: Page) -> str:
    """The steps or the table; an invalid run's figures say nothing, and stay in the report."""
    if is_capacity_run(page.run):
        return _steps(page)
    return "" if page.judged.status == "INVALID" else _table(page)


def _steps(page: Page) -> str:
    """A capacity run's steps; the figures of its access patterns would mix its rates."""
    steps = steps_of(page.run)
    return _plain_table(steps_table(steps)) if steps else ""


def _table(page: Page) -> str:
    if not page.rows:
        return ""
    heads = ["access pattern"]
    for subject in page.subjects:
        heads += [f"{words(subject.label)} p50", "p99", "verdict"]
    lines = [table_line(heads), table_line(["---"] + ["---:", "---:", "---"] * len(page.subjects))]
    for pattern in page.patterns:
        cells = [name(pattern)]
        for subject in page.subjects:
            cells += _cells(page.row(pattern, subject))
        lines.append(table_line(cells))
    return "\n".join(lines)


def _cells(row: TableRow | None) -> list[str]:
    if row is None:
        return ["–"] * 3
    verdict = f"{EMOJI[row.status]} {row.status}"
    failed = f"<br>{row.errors.text} errors" if row.errors.value else ""
    return [_cell(row.p50), _cell(row.p99), verdict + failed]


def _cell(cell: TableCell) -> str:
    value = f"**{cell.value.text}**" if cell.over else cell.value.text
    undisturbed = f"undisturbed {cell.undisturbed.text}" if cell.undisturbed.known else ""
    growth = cell.change.text if cell.change.known else ""
    small = ", ".join(filter(None, [cell.span, undisturbed, growth]))
    return f"{value}<br><sub>{small}</sub>" if small else value


def table_line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def _missed(page: Page) -> str:
    if page.judged.status == "INVALID":
        return ""  # the reasons are said above; every limit would only repeat the word
    missed = [x for x in page.judged.limits if x.status != "PASS" and x.sentence]
    # what is certain first, and a broken promise before a slower release
    missed.sort(key=lambda x: (x.status != "FAIL", x.unit == "ratio"))
    most = _MOST_UNDECIDED if page.judged.status == "INCONCLUSIVE" else _MOST_SENTENCES
    lines = [f"- {x.status}: {words(x.sentence)}" for x in missed[:most]]
    if len(missed) > most:
        lines.append(f"- and {len(missed) - most} more in the report")
    if todo := what_to_do(page):
        lines.append(f"\n{words(todo)}")
    return "\n".join(lines)


def _facts(page: Page) -> str:
    change = f" and the change against {words(page.judged.baseline)}" if page.has_changes else ""
    facts = "; ".join(f"{f.name.lower()} {f.value} ({f.context})" for f in facts_of(page))
    return f"<sub>{name(page.run.info.id)} · {words(facts)} · {page.metric_words}; " + (
        f"small figures are {plain(100 * page.judged.confidence)}% confidence intervals{change}"
        "</sub>"
    )
