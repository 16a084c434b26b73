"""Tables in the terminal: of a run, of the steps of a capacity run, and of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.judge.comparison import Comparison
from loadtests.judge.sentences import three_digits
from loadtests.measure.results import PercentileRatio, Run
from loadtests.report.figures.capacity import StepFigures, is_capacity_run, limit_of, steps_of
from loadtests.report.figures.rounding import percent
from loadtests.report.figures.stalls import basis_words
from loadtests.report.opening import reasons_of, scenario_errors_of, what_to_do
from loadtests.report.page import Page, TableCell, build_page
from loadtests.report.verdict_style import status_text

_OUTCOMES: Final = {
    "PASS": "PASS: nothing is slower by more than is allowed.",
    "FAIL": "FAIL: slower for certain, and not shown to be within what is allowed:",
    "INCONCLUSIVE": "INCONCLUSIVE: the intervals are too wide to tell.",
    "INVALID": "INVALID: it does not count:",
}
_MOST_REASONS: Final = 3


def terminal_summary(run: Run | Page) -> Table | Text:
    """What a gate shows of a run: its table, or of an invalid run the reasons and remedies."""
    page = run if isinstance(run, Page) else build_page(run)
    if page.judged.status == "INVALID" and not is_capacity_run(page.run):
        lines = [f"{page.judged.status}: {page.judged.sentence}"]
        lines += [f"  - {reason}" for reason in reasons_of(page)]
        lines += scenario_errors_of(page)
        return Text("\n".join(lines))
    return terminal_table(page)


def terminal_table(run: Run | Page) -> Table:
    """The run's p50 and p99 in milliseconds, with verdicts, for `rich` to print."""
    page = run if isinstance(run, Page) else build_page(run)
    if is_capacity_run(page.run):
        return _steps_screen(page)
    aim = page.target_ms("p99")
    target = f", target p99 {aim:g} ms" if aim is not None else ""
    table = _captioned(f"{page.metric_words} in ms{target}", "\n".join(_caption(page)))
    table.add_column("access pattern", no_wrap=True)
    if page.left_out is not None:
        _add_lines(table, page)
        return table
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
            cells += [_time(row.p50), _time(row.p99), status_text(row.status)]
        table.add_row(*cells)
    return table


def _add_lines(table: Table, page: Page) -> None:
    """A line for each backend, so that the undisturbed p99 fits beside the others."""
    table.add_column("backend", no_wrap=True)
    for head in ("p50", "p99", "p99*"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    before = ""
    for row in page.rows:
        table.add_row(
            Text(row.pattern if row.pattern != before else ""),
            Text(row.subject.label),
            _time(row.p50),
            _time(row.p99),
            _undisturbed(row.p99),
            status_text(row.status),
        )
        before = row.pattern


def _undisturbed(cell: TableCell) -> Text:
    if not cell.undisturbed.known:
        return Text("too few", style="dim")
    return Text(cell.undisturbed.text.removesuffix(" ms"))


def _caption(page: Page) -> list[str]:
    """The verdict, and what the table rests on."""
    judged = page.judged
    lines = [f"{judged.status}: {judged.sentence}"]
    if judged.status == "INCONCLUSIVE":
        undecided = [x for x in judged.limits if x.decides and x.status == judged.status]
        lines += [f"  - {limit.sentence}" for limit in undecided[:_MOST_REASONS]]
        if len(undecided) > _MOST_REASONS:
            lines.append(f"  - and {len(undecided) - _MOST_REASONS} more in the report")
        lines.append(what_to_do(page))
    lines += scenario_errors_of(page)
    if page.left_out is not None:
        lines.append(f"* {basis_words(page.left_out)}; {percent(page.left_out).text} left out")
    in_memory = [t.backend for t in page.setting.targets if "data in memory" in t.name]
    if in_memory:
        lines.append(f"Data in memory: {', '.join(in_memory)}.")
    return [line for line in lines if line]


def _time(cell: TableCell) -> Text:
    if not cell.value.known:
        return Text("too few", style="dim")
    return Text(cell.value.text.removesuffix(" ms"), style="red" if cell.over else "")


def _captioned(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=Text(caption),
        caption_style="",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )


def _steps_screen(page: Page) -> Table:
    """This run's own steps; rates in calls per second, times in milliseconds."""
    judged = page.judged
    own = [step for step in steps_of(page.run) if not step.run]
    limit_ms = limit_of(own, page.line_ms)
    aim = f", target p99 {limit_ms:g} ms" if limit_ms is not None else ""
    caption = " ".join(filter(None, [f"{judged.status}: {judged.sentence}", judged.details]))
    table = _captioned(f"{page.metric_words} in ms, step by step{aim}", caption)
    several = len({step.backend for step in own}) > 1
    for head in (*(["backend"] if several else []), "offered\n/s", "done\n/s", "\np50", "\np99",
                 "95%\ninterval", "\nqueued", "gen.\nCPU", "\nverdict"):  # fmt: skip
        words = head in ("backend", "\nverdict")
        table.add_column(head, justify="left" if words else "right", no_wrap=True)
    for step in own:
        first = [Text(step.backend)] if several else []
        table.add_row(*first, *_step_cells(step))
    return table


def _step_cells(step: StepFigures) -> list[Text]:
    late = "red" if step.verdict == "FAIL" else ""
    return [
        Text(step.rate.text.removesuffix(" /s")),
        Text(step.achieved.text.removesuffix(" /s")),
        Text(step.p50.text.removesuffix(" ms")),
        Text(step.p99.text.removesuffix(" ms"), style=late),
        Text(step.interval or "–"),
        Text(step.queued.text),
        Text(step.generator.text),
        status_text(step.verdict, "generator" if step.verdict == "INVALID" else None),
    ]


def comparison_tables(comparison: Comparison, confidence: float) -> Iterator[Table]:
    """A row for every percentile; one table for all rows that divide the same by the same."""
    sides = list(dict.fromkeys(_subjects(row) for row in comparison.rows))
    for side in sides:
        rows = [row for row in comparison.rows if _subjects(row) == side]
        yield _comparison_table(side, rows, confidence)


def _comparison_table(side: str, rows: Sequence[PercentileRatio], confidence: float) -> Table:
    metric = rows[0].metric.replace("_", " ")
    table = Table(title=Text(f"{side}, {metric}, {confidence:.0%} intervals"), title_justify="left",
                  box=SIMPLE_HEAD, header_style="bold", pad_edge=False,
                  padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("access pattern", no_wrap=True)
    table.add_column("", no_wrap=True)
    for heading in ("A ms", "B ms", "change", "interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.pattern),
            row.percentile,
            three_digits(row.reference_ms),
            three_digits(row.subject_ms),
            _growth(row.ratio),
            _growth_interval(row),
            row.outcome.lower(),
        )
    return table


def print_outcome(comparison: Comparison) -> None:
    """Print the outcome, why it does not count, or what is slower."""
    click.echo(_OUTCOMES[comparison.status])
    if comparison.status == "PASS" and comparison.undecided_rows:
        click.echo(
            f"  Over all patterns together; {len(comparison.undecided_rows)} figures of single "
            "patterns have too few calls to tell."
        )
    if comparison.calls_compared:
        click.echo(f"  {comparison.calls_compared}")
    for reason in comparison.reasons:
        click.echo(f"  {reason}")
    for row in comparison.rows:
        if row.outcome == "SLOWER":
            click.echo(
                f"  {row.subject} {row.pattern} {row.percentile}: "
                f"{_growth(row.ratio)} ({_growth_interval(row)})"
            )


def _subjects(row: PercentileRatio) -> str:
    return row.subject if row.subject == row.reference else f"{row.subject} over {row.reference}"


def _growth_interval(row: PercentileRatio) -> str:
    if row.low is None and row.high is None:
        return "too few calls"
    low = _growth(row.low) if row.low is not None else "?"
    return f"{low} … {_growth(row.high) if row.high is not None else '?'}"


def _growth(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}%"
