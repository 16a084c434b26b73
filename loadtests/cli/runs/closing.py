"""How a gate ends: runs judged, reported and shown; several in one table, with one exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.cli.screen.gate import Screen
from loadtests.config import Config, SettingsOrigin
from loadtests.config_sources import named_file
from loadtests.errors import UsageError, format_error
from loadtests.judge.capacity.answer import store_capacity_run
from loadtests.judge.judging import worst_status
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.storing import judge_with, store_verdict, with_stored_limits
from loadtests.measure.results import EXIT_CODES, Run, RunInfo, Verdict, read_info, read_run
from loadtests.measure.run_folder import shown_path
from loadtests.microbench.folder import SCENARIO
from loadtests.microbench.tables import summary
from loadtests.report.formats.terminal import terminal_summary
from loadtests.report.verdict_style import status_text


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has been judged and reported."""

    run: Run
    verdict: Verdict
    report: Path


def finish(path: Path, config: Config, alpha: TailProbability | None) -> Ended:
    """Judge a finished run folder, write its reports, print its table."""
    run = read_run(path)
    if run.info.steps:
        run, verdict = store_capacity_run(
            run, config.slo, config.gate.confidence, limits_from=config.limits_from
        )
    else:
        verdict = judge_with(run, config, alpha)
        run = store_verdict(run, verdict)
    return show_run(run, verdict)


def finish_stored(path: Path, config: Config) -> Ended:
    """As `finish`, by the limits that the run stores, unless the user names a settings file."""
    return finish(path, by_stored_limits(read_info(path), config), None)


def by_stored_limits(info: RunInfo, config: Config) -> Config:
    """The settings with the limits that a finished run is judged by."""
    return config if named_file(os.environ) else with_stored_limits(info, config)


def refuse_flags(context: click.Context, flags: Mapping[str, object], **others: object) -> None:
    """Raise UsageError for a flag about making a run, where finished runs are judged."""
    spelled = {option.name: option.opts[0] for option in context.command.params}
    for name, value in {**flags, **others}.items():
        if name != "results" and value not in (None, ()):
            raise UsageError(
                f"{spelled[name]} is for a new run; RUN… judges what has run.",
                hint="Leave it out. Limits come from the run, or from --config FILE.",
            )


def show_run(run: Run, verdict: Verdict) -> Ended:
    """Write a judged run's reports and print its table."""
    from loadtests.report.build import build_reports  # with matplotlib: not before a run

    report = build_reports(run.path)[0]
    with printing(), Screen() as screen:
        for shown in summary(run) if run.info.scenario == SCENARIO else [terminal_summary(run)]:
            screen.print(shown)
        print_places(report, verdict.limits_from)
    return Ended(run, verdict, report)


def print_places(report: Path, limits_from: SettingsOrigin | None) -> None:
    """Print where the limits came from, and where the reports are."""
    if limits_from:
        click.echo(f"Limits: {limits_from.words}")
    click.echo(f"Report: {shown_path(report)}")
    if (comment := report.with_name("comment.md")).exists():
        click.echo(f"Comment: {shown_path(comment)}")


def show_closing(ended: Sequence[Ended]) -> int:
    """Print the verdict on all runs together, the gravest one's; its exit code."""
    status = worst_status([run.verdict.status for run in ended])
    with printing():
        if len(ended) > 1:
            with Screen() as screen:
                screen.print(_table(ended))
        click.echo(f"Exit code {EXIT_CODES[status]} ({status})")
    return EXIT_CODES[status]


@contextmanager
def printing() -> Iterator[None]:
    """Keep an error of the block from ending the process: the verdict is stored already.

    The exit code has to be the stored verdict's, whether or not it could be shown.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever it is, the verdict stands)
        with suppress(Exception):
            click.echo(
                f"{format_error(error)}\nThe result was not shown; the exit code is the verdict's.",
                err=True,
            )


def _table(ended: Sequence[Ended]) -> Table:
    table = Table(
        title="Verdicts",
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("run", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("limits", overflow="fold")
    table.add_column("report", overflow="fold")
    for run in ended:
        counts = run.verdict.counts
        table.add_row(
            Text(run.run.info.scenario),
            status_text(run.verdict.status, run.verdict.status),
            Text(", ".join(f"{count} {status}" for status, count in sorted(counts.items()))),
            Text(shown_path(run.report)),
        )
    return table
