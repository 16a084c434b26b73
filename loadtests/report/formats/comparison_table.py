"""How a comparison is printed: a table of ratios, then what it comes to."""

from __future__ import annotations

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.judge.comparison import Comparison
from loadtests.judge.sentences import three_digits
from loadtests.measure.results import PercentileRatio

_WORDS = {
    "PASS": "PASS: nothing is slower by more than is allowed.",
    "FAIL": "FAIL: slower for certain, and not shown to be within what is allowed:",
    "INCONCLUSIVE": "INCONCLUSIVE: the intervals are too wide to tell.",
    "INVALID": "INVALID: it does not count:",
}


def comparison_table(found: Comparison, confidence: float) -> Table:
    """A row for every percentile; the two sides stand above where they are the same throughout."""
    sides = {_sides(row) for row in found.rows}
    of = f"{sides.copy().pop()}, " if len(sides) == 1 else ""
    metric = found.rows[0].metric.replace("_", " ")
    table = Table(title=Text(f"{of}{metric}, {confidence:.0%} intervals"), title_justify="left",
                  box=SIMPLE_HEAD, header_style="bold", pad_edge=False,
                  padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("access pattern", no_wrap=True)
    if len(sides) > 1:
        table.add_column("B over A", overflow="fold")
    table.add_column("", no_wrap=True)
    for heading in ("A ms", "B ms", "change", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in found.rows:
        table.add_row(
            row.pattern,
            *([_sides(row)] if len(sides) > 1 else []),
            row.percentile,
            three_digits(row.reference_ms),
            three_digits(row.subject_ms),
            _change(row.ratio),
            _interval(row),
            row.outcome.lower(),
        )
    return table


def conclude(found: Comparison) -> None:
    """Print the outcome, why it does not count, or what is slower."""
    click.echo(_WORDS[found.status])
    if found.status == "PASS" and found.undecided_rows:
        click.echo(
            f"  Over all patterns together; {len(found.undecided_rows)} figures of single patterns "
            "have too few calls to tell."
        )
    for reason in found.reasons:
        click.echo(f"  {reason}")
    for row in found.rows:
        if row.outcome == "SLOWER":
            click.echo(
                f"  {row.subject} {row.pattern} {row.percentile}: "
                f"{_change(row.ratio)} ({_interval(row)})"
            )


def _sides(row: PercentileRatio) -> str:
    return row.subject if row.subject == row.reference else f"{row.subject} over {row.reference}"


def _interval(row: PercentileRatio) -> str:
    if row.low is None and row.high is None:
        return "too few calls"
    low = _change(row.low) if row.low is not None else "?"
    return f"{low} … {_change(row.high) if row.high is not None else '?'}"


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}%"
