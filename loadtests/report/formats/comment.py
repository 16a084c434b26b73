"""`comment.md`: what changed between two subjects of one run, for a comment on a pull request.

Its first line is a comment of HTML that a reader does not see. It is the same for every run of one
comparison, so that a workflow finds its own comment and edits it (`docs/ci/README.md`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from loadtests.measure.results import EXIT_CODES, LimitVerdict, Run, Status
from loadtests.report.figures.changes import ChangesView, PatternChange
from loadtests.report.figures.rounding import change, change_span, clean, plain
from loadtests.report.figures.stalls import left_out_words
from loadtests.report.formats.markdown import cut, name, table_line, words
from loadtests.report.formats.text_axis import NO_BREAK, TextAxis, axis_of
from loadtests.report.opening import reasons_of
from loadtests.report.page import Page
from loadtests.report.verdict_style import EMOJI

MOST_ROWS: Final = 10
_MOST_BROKEN: Final = 3
_NOT_IN_MARKER: Final = re.compile(r"[^\w.,+/ -]|-(?=-)", re.ASCII)
_MEANINGS: Final[dict[Status, str]] = {
    "PASS": "nothing is slower by more than the limits allow",
    "FAIL": "something is significantly slower, and not shown to be within its limit",
    "INCONCLUSIVE": "the intervals are too wide to decide; run longer",
    "INVALID": "the run does not count; repeat it on a quieter or larger machine",
}


def render_comment(page: Page) -> str | None:
    """The comment; None for a run that was not made to compare two subjects."""
    verdict = page.run.info.verdict
    changes = page.changes
    if verdict is None or changes is None:
        return None
    confidence = f"{plain(100 * (1 - verdict.level))}%"  # an interim analysis has less to spend
    parts = [
        marker_of(page.run, changes),
        f"### {EMOJI[verdict.status]} {words(_headline(page, changes))}",
        *_opening(page, verdict.status, changes),
        *([] if changes.status == "INVALID" else _picture(changes, confidence)),
        _footer(page, changes, confidence),
    ]
    return cut("\n\n".join(part for part in parts if part) + "\n")


def marker_of(run: Run, changes: ChangesView) -> str:
    """The hidden first line: which comparison of which scenario the comment is about."""
    text = f"{changes.subject} against {changes.reference}, {run.info.scenario}"
    return f"<!-- loadtests: {_NOT_IN_MARKER.sub('_', clean(text))} -->"


def _headline(page: Page, changes: ChangesView) -> str:
    """The comparison's sentence, unless the run's own limits make the verdict worse."""
    if changes.status == page.judged.status:
        return changes.sentence
    return f"{page.judged.status}: {page.judged.sentence}"


def _opening(page: Page, status: Status, changes: ChangesView) -> Iterator[str]:
    """The verdict and its exit code, what was compared, and what the headline leaves out."""
    if changes.status == "INVALID":
        yield "\n".join(f"- {words(reason)}" for reason in reasons_of(page))
    elif changes.status != status:
        yield f"**{words(changes.sentence)}.**"
    own = [limit for limit in page.judged.limits if limit.kind != "relative"]
    meaning = _MEANINGS[changes.status] if changes.status == status else "see the report"
    yield (
        f"**{status}** (exit code {EXIT_CODES[status]}): {meaning}. {_subjects(page, changes)} "
        + " ".join(words(note) for note in changes.notes)
    ).strip()
    if own:
        yield _own_limits(own, changes.subject)


def _subjects(page: Page, changes: ChangesView) -> str:
    block_s = page.run.info.config.load.blocks
    turns = f"alternating every {block_s} s" if block_s else "called simultaneously"
    return (
        f"{name(changes.subject)} against {name(changes.reference)} on {words(changes.backends)}, "
        f"{turns} in one run." + (f" {words(changes.versions)}." if changes.versions else "")
    )


def _own_limits(limits: Sequence[LimitVerdict], subject: str) -> str:
    """How the limits of the subject itself came out, which the gate judged in the same run."""
    counts = Counter(limit.status for limit in limits)
    stated = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    broken = [limit.sentence for limit in limits if limit.status == "FAIL"][:_MOST_BROKEN]
    lines = [f"Limits of {name(subject)} itself: {stated}."]
    return "\n".join(lines + [f"- {words(sentence)}" for sentence in broken])


def _picture(changes: ChangesView, confidence: str) -> Iterator[str]:
    """The table with a line of characters for each interval, and what they mean."""
    axis = axis_of(changes.limits)
    shown = changes.rows
    if len(shown) > MOST_ROWS:
        shown = shown[: MOST_ROWS - 1]
    head = ["access pattern", f"{name(changes.reference)} → {name(changes.subject)}"]
    lines = [
        table_line([*head, _code(axis.scale())]),
        table_line(["---"] * 3),
        *(table_line(_cells(row, axis)) for row in shown),
    ]
    if rest := changes.rows[len(shown) :]:
        counts = Counter(row.state for row in rest)
        stated = ", ".join(f"{count} {state}" for state, count in counts.items())
        lines.append(table_line([f"and {len(rest)} more", stated, ""]))
    yield "\n".join(lines)
    allowed = {limit.percentile: change(limit.limit - 1).text for limit in changes.limits}
    limits = ", ".join(f"{percentile} {growth}" for percentile, growth in allowed.items())
    yield (
        f"<sub>`│` no change · `║` limit, {limits} · `├●┤` change with its {confidence} interval · "
        "**bold**: significant · ✅ within the limit · ❌ slower · ❓ undecided</sub>"
    )


def _cells(row: PatternChange, axis: TextAxis) -> list[str]:
    """A line for each percentile, the same in both columns."""
    return [
        name(row.label),
        "<br>".join(_said(limit) for limit in row.limits),
        "<br>".join(_code(axis.line(limit)) for limit in row.limits),
    ]


def _said(limit: LimitVerdict) -> str:
    """`❌ p50 **+12%** (+10% to +14%)`, which does not wrap, as its picture does not."""
    figure = change(limit.estimate - 1).text
    if limit.direction:
        figure = f"**{figure}**"
    low, high = (None if end is None else end - 1 for end in (limit.low, limit.high))
    interval = change_span(low, high)
    text = f"{EMOJI[limit.status]} {limit.percentile} {figure} ({interval or 'too few calls'})"
    return text.replace(" ", NO_BREAK)


def _code(line: str) -> str:
    return f"`{line}`"


def _footer(page: Page, changes: ChangesView, confidence: str) -> str:
    """The run, its calls, and what it ran on; where the limits came from is part of the load."""
    setting = page.setting
    calls = int(sum(row.calls.value or 0 for row in page.rows))
    facts = [
        name(page.run.info.id),
        f"{page.metric_words} of {calls:,} calls",
        f"{confidence} confidence",
        left_out_words(page.run.info.stalls, changes.limits[0].basis),
    ]
    ran_on = f"{words(setting.ran_on)} {words(setting.load)} {setting.caution}".strip()
    return f"<sub>{' · '.join(facts)}<br>{ran_on}</sub>"
