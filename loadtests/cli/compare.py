"""`loadtests compare`: two runs or sets of runs, or two subjects of one run, made for it or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from loadtests.cli.options import (
    SCENARIOS,
    TARGET_SETTINGS,
    blocks_option,
    config_option,
    metric_option,
    processes_option,
    python_option,
    scenarios_option,
    setting_options,
    users_option,
)
from loadtests.cli.runs.children import Children, children_of
from loadtests.cli.runs.closing import by_stored_limits, print_places, printing
from loadtests.cli.runs.interleave import OWN_DEFAULTS, interleave_config, refuse_processes
from loadtests.cli.runs.interleave import interleave as interleave_subjects
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.screen.console import open_console, print_whole
from loadtests.config import load_config
from loadtests.errors import UsageError
from loadtests.judge.baseline import baseline_names, read_baseline
from loadtests.judge.comparison import ComparedSubject, compare_runs
from loadtests.judge.interleaved import compare_interleaved, subjects_of
from loadtests.judge.storing import store_verdict
from loadtests.judge.subject_verdict import verdict_of
from loadtests.measure.results import Run, read_run
from loadtests.report.formats.terminal import comparison_tables, print_outcome


@click.command()
@config_option
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", required=False)
@click.option(
    "--subjects",
    nargs=2,
    metavar="X Y",
    help="Compare two subjects (backend/driver) within run A, Y over X.",
)
@metric_option
@click.option(
    "--allow-differences",
    is_flag=True,
    help="Compare runs although they were made under different conditions.",
)
@setting_options("results")
@click.option(
    "--interleave",
    is_flag=True,
    help="Make a run: A and B are drivers, backends, backend/driver, or store factories "
    "(package.module:factory), called alternately or concurrently. NAME=[FOLDER:]client names a "
    "subject and calls it in a process of its own, with the modules of FOLDER first.",
)
@python_option
@blocks_option
@setting_options(
    "rate",
    "run_time",
    "warm_up",
    "arrivals",
    "seed",
    "zipf_exponent",
    *TARGET_SETTINGS,
    defaults=OWN_DEFAULTS,
)
@scenarios_option
@users_option
@processes_option
@click.pass_context
def command(
    context: click.Context,
    /,
    before: str,
    after: str | None,
    subjects: tuple[str, str] | None,
    metric: str,
    allow_differences: bool,
    results: str | None,
    interleave: bool,
    pythons: tuple[str, ...],
    scenarios: tuple[str, ...],
    users: int | None,
    processes: int | None,
    **flags: object,
) -> int:
    """Test whether B is slower than A, with an interval for every percentile.

    A and B are run folders, several joined by commas, or names of baselines. With --interleave
    they are two subjects that one new run calls under the same noise. Exit codes: 0 nothing is
    slower by more than [slo.relative] allows, 1 something is, 3 undecided, 4 a run is invalid.
    """
    if interleave:
        if subjects or allow_differences:
            raise UsageError(
                "--interleave makes a new run; --subjects and "
                "--allow-differences are for finished runs."
            )
        if after is None:
            raise UsageError(
                "--interleave compares two subjects.",
                hint="For example: loadtests compare --interleave wire boto3",
            )
        plan = LoadPlan(scenarios=scenarios or SCENARIOS, users=users, processes=processes)
        return _compare_interleaved(
            (before, after),
            metric,
            plan,
            pythons=pythons,
            flags={**flags, "results": results},
            children=children_of(context),
        )
    spelled = {option.name: option.opts[0] for option in context.command.params}
    of_the_run = {
        **flags,
        "pythons": pythons,
        "scenarios": scenarios,
        "users": users,
        "processes": processes,
    }
    for name, value in of_the_run.items():
        if value not in (None, ()):
            raise UsageError(
                f"{spelled[name]} needs --interleave.",
                hint="Without it, compare reads finished runs only.",
            )
    config = load_config({"results": results})
    folder = Path(config.results)
    old = _runs(before, folder)
    new = _runs(after, folder) if after is not None else old
    config = by_stored_limits(new[-1].info, config)
    allowed, confidence = config.slo.relative, config.gate.confidence
    if after is None:
        if len(old) != 1:
            raise UsageError("Nothing to compare with.", hint="Give a second run, or one run only.")
        y, x = _two(old[0], subjects)
        comparison = compare_interleaved(old[0], y, x, allowed, confidence, metric=metric)
    else:
        if subjects:
            raise UsageError(
                "--subjects compares two subjects inside one run.", hint="Give only one run folder."
            )
        comparison = compare_runs(
            old,
            new,
            allowed,
            confidence,
            metric=metric,
            allow_differences=allow_differences,
        )
    with printing():
        print_whole(open_console(), *comparison_tables(comparison, confidence))
        print_outcome(comparison)
        click.echo(f"Limits: {config.limits_from.words}")
    return comparison.exit_code


def _compare_interleaved(
    subjects: tuple[str, str],
    metric: str,
    plan: LoadPlan,
    *,
    pythons: tuple[str, ...],
    flags: dict[str, object],
    children: Children,
) -> int:
    """Make the run, compare, keep the verdict in its folder, report."""
    blocks = flags.pop("blocks")
    config, processes = interleave_config(
        *subjects,
        blocks=None if blocks is None else str(blocks),
        pythons=pythons,
        flags=flags,
    )
    if processes:
        refuse_processes(plan.processes)
    plan = replace(plan, subjects=processes)
    interleaved = interleave_subjects(config, plan, children)
    allowed, confidence = config.slo.relative, config.gate.confidence
    comparison = compare_interleaved(
        interleaved.run, interleaved.second, interleaved.first, allowed, confidence, metric=metric
    )
    verdict = verdict_of(interleaved.run, comparison, allowed, confidence)
    verdict = verdict.model_copy(update={"limits_from": config.limits_from})
    store_verdict(interleaved.run, verdict)

    from loadtests.report.build import build_reports  # with matplotlib: not before a run

    report = build_reports(interleaved.run.path)[0]
    with printing():
        print_whole(open_console(), *comparison_tables(comparison, confidence))
        print_outcome(comparison)
        if interleaved.advice:
            click.echo(interleaved.advice)
        print_places(report, config.limits_from)
    return comparison.exit_code


def _runs(text: str, results: Path) -> list[Run]:
    """One side: a baseline's runs, or the folders named."""
    if text in baseline_names(results) and not Path(text).exists():
        return list(read_baseline(text, results).runs)
    return [read_run(Path(part)) for part in text.split(",") if part]


def _two(run: Run, named: tuple[str, str] | None) -> tuple[ComparedSubject, ComparedSubject]:
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
    by_name = {str(subject): subject for subject in known}
    for name in named:
        if name not in by_name:
            raise UsageError(f"The run holds no {name}.", hint=f"It holds {listed}.")
    return by_name[named[1]], by_name[named[0]]
