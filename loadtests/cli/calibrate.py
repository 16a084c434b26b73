"""`loadtests calibrate`: prove the reported percentiles against servers of known latency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from loadtests.calibrate.cells import SCENARIO, CellPlan, measure_cell
from loadtests.calibrate.figures import CalibrationCell
from loadtests.calibrate.noise import NoisyCell, measure_noisy_cell
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.tables import (
    dispatch_delay_lines,
    markdown_table,
    noise_markdown,
    noise_table,
    terminal_table,
)
from loadtests.cli.calibrate_gate import gate_command
from loadtests.cli.options import HiddenAlias, with_default
from loadtests.errors import EXIT_FAIL, EXIT_INVALID, EXIT_PASS, UsageError

MAX_NOISE: Final = 0.5
RATES_PER_S: Final = (100.0, 1_000.0, 3_000.0)


class CpuShare(click.ParamType[float]):
    """A share of a CPU: `5%` or `0.05`."""

    name = "SHARE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The share as a number above 0 and up to 0.5."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share <= MAX_NOISE:
            self.fail(f"{text!r} is no share above 0% and up to {MAX_NOISE:.0%}.", param, ctx)
        return share


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
    "--noise",
    type=CpuShare(),
    help="Take this share of each CPU away in pieces of 2 to 10 ms, and judge undisturbed calls.",
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
    noise: float | None,
    results: Path,
) -> int | None:
    """Run the real scenario against scripted servers and compare with what they truly did.

    Exit code 0: every judged percentile is right; 1: one is out of tolerance; 4: no cell could be
    judged, since generator or machine were disturbed in all. `loadtests calibrate gate RUN…`
    measures the error rates of the gate instead.

    With --noise, stalls are injected, and the undisturbed calls are judged. It needs the real-time
    class (root or CAP_SYS_NICE).
    """
    if context.invoked_subcommand is not None:
        return None
    if not Path(SCENARIO).exists():
        raise UsageError(
            f"`loadtests calibrate` runs {SCENARIO}, which is not in this folder.",
            hint="Start it in a checkout of cloudshelf-loadtests.",
        )
    console = Console()
    plan = CellPlan(measured_s=measured, conventional_s=0.0 if skip_conventional else 8.0)
    results.mkdir(parents=True, exist_ok=True)
    chosen = [(s, r) for s in scripts or SCRIPTS for r in rates or RATES_PER_S]
    if noise is not None:
        return _calibrate_under_noise(console, chosen, plan, noise, results)
    cells: list[CalibrationCell] = []
    for number, (script, rate) in enumerate(chosen, 1):
        console.print(f"[{number}/{len(chosen)}] {script} at {rate:,.0f}/s", highlight=False)
        cells.append(measure_cell(SCRIPTS[script], rate, plan))
        # kept cell by cell: the whole takes minutes
        (results / "calibration.json").write_text(json.dumps([asdict(c) for c in cells], indent=1))
    lateness = dispatch_delay_lines(cells)
    text = "\n".join([markdown_table(cells), *lateness]) + "\n"
    (results / "calibration.md").write_text(text, encoding="utf-8")
    from loadtests.calibrate.chart import draw_chart  # with matplotlib: not while measuring

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


def _calibrate_under_noise(
    console: Console,
    chosen: Sequence[tuple[str, float]],
    plan: CellPlan,
    share: float,
    results: Path,
) -> int:
    cells: list[NoisyCell] = []
    for number, (script, rate) in enumerate(chosen, 1):
        text = f"[{number}/{len(chosen)}] {script} at {rate:,.0f}/s, {share:.0%} of each CPU taken"
        console.print(text, highlight=False)
        cells.append(measure_noisy_cell(SCRIPTS[script], rate, plan, share, seed=number))
        (results / "noise.json").write_text(json.dumps([asdict(c) for c in cells], indent=1))
    (results / "noise.md").write_text(noise_markdown(cells), encoding="utf-8")
    console.print(noise_table(cells))
    for cell in cells:
        if cell.excuse:
            name = f"{cell.script} at {cell.rate_per_s:,.0f}/s"
            console.print(f"Not judged: {name}: {cell.excuse}", highlight=False)
    judged = [cell for cell in cells if not cell.excuse]
    right = [cell for cell in judged if cell.right]
    injected = sum(cell.injected for cell in cells)
    seen = sum(cell.seen for cell in cells)
    if injected:
        text = f"The hiccup meters saw {seen / injected:.1%} of {injected:,} injected stalls."
        console.print(text, highlight=False)
    console.print(
        f"{len(right)} of {len(judged)} judged cells right by their undisturbed calls"
        f" ({len(cells)} in all). Table: {results / 'noise.md'}",
        highlight=False,
    )
    if len(right) < len(judged):
        return EXIT_FAIL
    return EXIT_PASS if judged else EXIT_INVALID


command.add_command(gate_command)
