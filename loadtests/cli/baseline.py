"""`loadtests baseline`: promote, list and show the runs that later runs are compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from loadtests.cli.options import config_option, setting_options
from loadtests.cli.screen.console import open_console, print_whole
from loadtests.config import load_config
from loadtests.errors import UsageError
from loadtests.judge.baseline import (
    Baseline,
    baseline_names,
    promote,
    read_baseline,
    read_promotion,
)
from loadtests.judge.fingerprint import fingerprint
from loadtests.judge.history import Figures, figures_of
from loadtests.judge.sentences import three_digits
from loadtests.model import to_iso_seconds


@click.group()
def command() -> None:
    """Promote, list and show baselines."""


@command.command("promote")
@config_option
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
@click.option("--name", help="The baseline's name; by default the scenario's.")
@click.option("--force", is_flag=True, help="Also runs that did not pass; needs --reason.")
@click.option("--reason", default="", help="Why; recorded with the baseline.")
@setting_options("results")
def promote_command(
    runs: tuple[Path, ...], name: str | None, force: bool, reason: str, results: str | None
) -> None:
    """Make these runs the baseline. Several let the variation between runs into the interval."""
    if force and not reason.strip():
        raise UsageError("--force needs a --reason.", hint='For example --reason "new hardware".')
    folder = Path(load_config({"results": results}).results)
    promoted_at = to_iso_seconds(datetime.now(UTC))
    baseline = promote(
        runs, folder, name=name, promoted_at=promoted_at, force=force, reason=reason.strip()
    )
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    click.echo(f"Baseline {baseline}: {count}.")
    if len(runs) == 1:
        click.echo("One run shows no variation between runs: three or more make a better baseline.")


@command.command("list")
@config_option
@setting_options("results")
def list_command(results: str | None) -> None:
    """Name every baseline."""
    folder = Path(load_config({"results": results}).results)
    names = baseline_names(folder)
    if not names:
        click.echo(f"No baselines under {folder}. loadtests baseline promote RUN… makes one.")
    for name in names:
        record = read_promotion(name, folder)
        forced = f", forced: {record.reason}" if record.forced else ""
        click.echo(f"{name}: {len(record.runs)} runs, promoted {record.promoted_at}{forced}")


@command.command("show")
@config_option
@click.argument("name")
@setting_options("results")
def show_command(name: str, results: str | None) -> None:
    """Show a baseline's runs, conditions and figures."""
    folder = Path(load_config({"results": results}).results)
    record, baseline = read_promotion(name, folder), read_baseline(name, folder)
    click.echo(f"Baseline {name}, promoted {record.promoted_at}")
    for run in baseline.runs:
        status = record.forced.get(run.info.id)
        note = f" (forced, was {status}: {record.reason})" if status else ""
        click.echo(f"  {run.info.id}{note}")
    for field, value in fingerprint(baseline.runs[0].info).items():
        click.echo(f"  {field} = {value}")
    print_whole(open_console(), _table(baseline))


def _table(baseline: Baseline) -> Table:
    table = Table(title="response time, ms: mean of the runs (least-most)", title_justify="left")
    for heading in ("access pattern", "backend", "p50", "p90", "p99", "p99.9"):
        table.add_column(heading, justify="left" if heading[0] in "ab" else "right", no_wrap=True)
    runs = [figures_of(run.info) for run in baseline.runs]
    for key in sorted({key for run in runs for key in run}):
        figures = [run[key] for run in runs if key in run]
        cells = [_cell(figures, name) for name in ("p50", "p90", "p99", "p99.9")]
        table.add_row(Text(key.pattern), Text(f"{key.backend}/{key.driver}"), *cells)
    return table


def _cell(runs: list[Figures], name: str) -> str:
    values = [run[name] for run in runs]
    mean = sum(values) / len(values)
    if len(values) == 1:
        return three_digits(mean)
    return f"{three_digits(mean)} ({three_digits(min(values))}-{three_digits(max(values))})"
