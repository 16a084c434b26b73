"""`loadtests report RUN…`: rebuild a run's reports from its folder, or compare several runs."""

from __future__ import annotations

from pathlib import Path

import click

from loadtests.cli.screen.console import open_console, print_whole
from loadtests.measure.results import Run, read_run
from loadtests.report.build import render, write_files
from loadtests.report.comparison import build_comparison
from loadtests.report.formats.terminal import terminal_table
from loadtests.report.page import build_page


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where a comparison goes; by default a folder beside the first run.",
)
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Rebuild the reports of one run, or compare several with the first.

    RUN is a run folder, such as results/latest. Nothing but these folders is read, except that
    the history section shows earlier runs beside the run.
    """
    read = [read_run(path) for path in runs]
    if len(read) > 1:
        written = build_comparison(read, output or _beside(read))
        click.echo(f"Comparison: {written[0]}")
        return
    if output is not None:
        raise click.UsageError("--output is for comparisons; a run's reports stay in its folder.")
    page = build_page(read[0])
    written = write_files(read[0].path, render(page))
    print_whole(open_console(), terminal_table(page))
    click.echo(f"Report: {written[0]}")


def _beside(runs: list[Run]) -> Path:
    """`results/comparison-<first>-<last>`; run folders never begin so."""
    return runs[0].path.parent / f"comparison-{runs[0].path.name}-{runs[-1].path.name}"
