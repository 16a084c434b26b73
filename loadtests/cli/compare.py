"""`loadtests compare`: two runs, two sets of runs, or two subjects of one run."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from loadtests.config import load_config
from loadtests.errors import UsageError
from loadtests.judge.baseline import baseline_names, read_baseline
from loadtests.judge.comparison import Compared, Comparison, Subject, compare_runs
from loadtests.judge.interleaved import compare_interleaved, subjects_of
from loadtests.judge.sentences import three_digits
from loadtests.measure.results import Run, read_run

_WORDS = {
    "PASS": "PASS: nothing is slower by more than is allowed.",
    "FAIL": "FAIL: slower for certain, and not shown to be within what is allowed:",
    "INCONCLUSIVE": "INCONCLUSIVE: the intervals are too wide to tell.",
    "INVALID": "INVALID: a run does not count:",
}


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@click.option("--subjects", nargs=2, metavar="X Y",
              help="Compare two subjects (backend/driver) within run A, Y over X.")  # fmt: skip
@click.option("--metric", type=click.Choice(["response_time", "service_time", "wire_time"]),
              default="response_time", show_default=True)  # fmt: skip
@click.option("--allow-differences", is_flag=True,
              help="Compare runs made under different conditions all the same.")  # fmt: skip
@click.option("--results", metavar="DIR", help="Where run folders and baselines are.")
def command(
    before: str,
    after: str | None,
    subjects: tuple[str, str] | None,
    metric: str,
    allow_differences: bool,
    results: str | None,
) -> int:
    """Say whether B is slower than A, with an interval for every percentile.

    A and B are run folders, several joined by commas, or names of baselines. Ends with 0 when
    nothing is slower by more than [slo.relative] allows, 1 when something is, 3 when it cannot be
    told, 4 when a run does not count.
    """
    config = load_config({"results": results})
    folder = Path(config.results)
    old = _runs(before, folder)
    allowed, confidence = config.slo.relative, config.gate.confidence
    if after is None:
        if len(old) != 1:
            raise UsageError("Several runs, and nothing to compare them with.", hint="Name B.")
        y, x = _two(old[0], subjects)
        found = compare_interleaved(old[0], y, x, allowed, confidence, metric=metric)
    else:
        if subjects:
            raise UsageError("--subjects are of one run.", hint="Leave B out.")
        found = compare_runs(old, _runs(after, folder), allowed, confidence, metric=metric,
                             allow_differences=allow_differences)  # fmt: skip
    Console().print(_table(found, confidence))
    _conclude(found)
    return found.exit_code


def _runs(text: str, results: Path) -> list[Run]:
    """One side: a baseline's runs, or the folders named."""
    if text in baseline_names(results) and not Path(text).exists():
        return list(read_baseline(text, results).runs)
    return [read_run(Path(part)) for part in text.split(",") if part]


def _two(run: Run, named: tuple[str, str] | None) -> tuple[Subject, Subject]:
    """The subject and its reference. Raises UsageError unless two are meant."""
    known = subjects_of(run)
    listed = ", ".join(map(str, known))
    if named is None:
        if len(known) != 2:
            raise UsageError(
                f"The run holds {listed or 'nothing'}: which two are to be compared?",
                hint="Name them with --subjects X Y, or a second run.",
            )
        # the report's headline is DynamoDB over Postgres
        return known[0], known[1]
    by_name = {str(one): one for one in known}
    for name in named:
        if name not in by_name:
            raise UsageError(f"The run holds no {name}.", hint=f"It holds {listed}.")
    return by_name[named[1]], by_name[named[0]]


def _table(found: Comparison, confidence: float) -> Table:
    first = found.rows[0]
    table = Table(title=f"{first.metric.replace('_', ' ')}, {confidence:.0%} intervals",
                  title_justify="left")  # fmt: skip
    for heading in ("access pattern", "B over A", ""):
        table.add_column(heading, no_wrap=True)
    for heading in ("A ms", "B ms", "change", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in found.rows:
        sides = f"{row.subject} / {row.reference}"
        if row.subject == row.reference:
            sides = row.subject
        table.add_row(
            row.pattern,
            sides,
            row.percentile,
            three_digits(row.reference_ms),
            three_digits(row.subject_ms),
            _change(row.ratio),
            _interval(row),
            row.outcome.lower(),
        )
    return table


def _interval(row: Compared) -> str:
    if row.low is None and row.high is None:
        return "too few calls"
    low = _change(row.low) if row.low is not None else "?"
    return f"{low} … {_change(row.high) if row.high is not None else '?'}"


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}%"


def _conclude(found: Comparison) -> None:
    click.echo(_WORDS[found.status])
    for reason in found.reasons:
        click.echo(f"  {reason}")
    for row in found.rows:
        if row.outcome == "SLOWER":
            click.echo(
                f"  {row.subject} {row.pattern} {row.percentile}: "
                f"{_change(row.ratio)} ({_interval(row)})"
            )
