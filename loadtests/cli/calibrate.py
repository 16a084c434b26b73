"""`loadtests calibrate`: prove the reported percentiles against servers of known latency."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from loadtests.calibrate.cells import CellPlan, measure_cell
from loadtests.calibrate.chart import draw_chart
from loadtests.calibrate.figures import CalibrationCell
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.tables import dispatch_delay_lines, markdown_table, terminal_table
from loadtests.cli.calibrate_gate import gate_command
from loadtests.cli.options import HiddenAlias, with_default
from loadtests.errors import EXIT_FAIL, EXIT_INVALID, EXIT_PASS

RATES_PER_S: Final = (100.0, 1_000.0, 3_000.0)


@click.group(invoke_without_command=True)
@click.option(
    "--script",
    "scripts",
    multiple=True,
    type=click.Choice(list(SCRIPTS)),
    help="Only this server; may be repeated. [default: all]",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    type=click.FloatRange(min=1),
    help=with_default(
        "Only this arrival rate; may be repeated.", ", ".join(f"{rate:,g}" for rate in RATES_PER_S)
    ),
)
@click.option(
    "--measured",
    type=click.FloatRange(min=2),
    default=10.0,
    show_default=True,
    help="Measured seconds of each cell; always 25 for the frozen server.",
)
@click.option(
    "--skip-conventional",
    "--no-usual",
    is_flag=True,
    cls=HiddenAlias,
    help="Skip the conventional Locust test.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results/calibration"),
    show_default=True,
    help="Folder for table, chart and figures.",
)
@click.pass_context
def command(
    context: click.Context,
    scripts: tuple[str, ...],
    rates: tuple[float, ...],
    measured: float,
    skip_conventional: bool,
    results: Path,
) -> int | None:
    """Run the real scenario against scripted servers and compare with what they truly did.

    Exit code 0: every judged percentile is right; 1: one is out of tolerance; 4: no cell could be
    judged, since generator or machine were disturbed in all. `loadtests calibrate gate RUN…`
    measures the error rates of the gate instead.
    """
    if context.invoked_subcommand is not None:
        return None
    console = Console()
    plan = CellPlan(measured_s=measured, conventional_s=0.0 if skip_conventional else 8.0)
    cells: list[CalibrationCell] = []
    results.mkdir(parents=True, exist_ok=True)
    chosen = [(s, r) for s in scripts or SCRIPTS for r in rates or RATES_PER_S]
    for number, (script, rate) in enumerate(chosen, 1):
        console.print(f"[{number}/{len(chosen)}] {script} at {rate:,.0f}/s", highlight=False)
        cells.append(measure_cell(SCRIPTS[script], rate, plan))
        # kept cell by cell: the whole takes minutes
        (results / "calibration.json").write_text(json.dumps([asdict(c) for c in cells], indent=1))
    lateness = dispatch_delay_lines(cells)
    text = "\n".join([markdown_table(cells), *lateness]) + "\n"
    (results / "calibration.md").write_text(text, encoding="utf-8")
    draw_chart(cells, results / "calibration.png")
    console.print(terminal_table(cells))
    for cell in cells:
        if not cell.judged:
            place = f"{cell.script} at {cell.rate_per_s:,.0f}/s"
            console.print(f"Not judged: {place}: {cell.excuse}", highlight=False)
    for line in lateness:
        console.print(line, highlight=False)
    judged = [cell for cell in cells if cell.judged]
    wrong = [cell for cell in judged if not cell.right]
    console.print(
        f"{len(judged) - len(wrong)} of {len(judged)} judged cells right"
        f" ({len(cells)} in all). Table and chart: {results}",
        highlight=False,
    )
    if wrong:
        return EXIT_FAIL
    return EXIT_PASS if judged else EXIT_INVALID


command.add_command(gate_command)
