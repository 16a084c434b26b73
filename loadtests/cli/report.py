"""`loadtests report RUN…`: rebuild a run's reports from its folder, or compare several runs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from loadtests.measure.results import read_run
from loadtests.report.build import render, write_files
from loadtests.report.page import build_page
from loadtests.report.terminal import terminal_table


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
def command(runs: tuple[Path, ...]) -> None:
    """Rebuild the reports of one run, or compare several.

    RUN is a run folder, such as results/latest. Nothing but the folder is read.
    """
    page = build_page(read_run(runs[0]))
    written = write_files(page.run.path, render(page))
    Console().print(terminal_table(page))
    click.echo(f"Report: {written[0]}")
