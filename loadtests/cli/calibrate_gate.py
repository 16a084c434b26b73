"""`python -m loadtests.cli.calibrate_gate RUN…`: what the gate's statistics are worth, as Markdown.

`make calibrate-gate` runs it; the table stands in docs/MEASUREMENT.md.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import numpy as np

from loadtests.__main__ import run_command
from loadtests.config import Gate, Load, Slo
from loadtests.errors import ResultsError
from loadtests.judge import gate_calibration as calibration
from loadtests.judge.calibration_table import Cost, calibration_table
from loadtests.judge.extension import planned_looks
from loadtests.judge.judging import judge_run
from loadtests.judge.limit_calibration import measure_limits
from loadtests.judge.recordings import Recording
from loadtests.measure.results import Run, read_run

LEAST_SECONDS = 60


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
@click.option("--comparisons", type=click.IntRange(1), default=300, show_default=True)
@click.option("--seconds", type=click.IntRange(10), default=180, show_default=True,
              help="Length of a drawn run.")  # fmt: skip
@click.option("--block", type=click.IntRange(1), default=15, show_default=True,
              help="Seconds that stay together as recorded.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True)
def command(runs: tuple[Path, ...], comparisons: int, seconds: int, block: int, seed: int) -> None:
    """Measure coverage, false alarms and power on recorded runs, and print them as Markdown."""
    recorded = [read_run(path) for path in runs]
    recordings = [_recording(run) for run in recorded]
    plan = calibration.Plan(comparisons, comparisons, seconds, block)
    rng = np.random.default_rng(seed)
    started = time.perf_counter()
    coverage = calibration.measure_coverage(recordings, plan, rng)
    together = calibration.measure_outcomes(
        lambda: calibration.interleaved_twins(recordings[int(rng.integers(len(recordings)))],
                                              plan, rng),
        calibration.compare_rule, plan, rng, interleaved=True, progress=_progress("interleaved"),
    )  # fmt: skip
    apart = calibration.measure_outcomes(
        lambda: calibration.separate_twins(recordings, plan, rng),
        calibration.gate_rule, plan, rng, interleaved=False, progress=_progress("two runs"),
    )  # fmt: skip
    load = Load()
    looks = planned_looks(Gate(), load.run_time - load.warm_up)
    limits = measure_limits(recordings, looks, block, comparisons, rng, _progress("limits"))
    cost = Cost(_judging_s(recorded[0]), time.perf_counter() - started)
    click.echo(calibration_table(recorded, recordings, plan, coverage, together, apart, limits,
                                 cost))  # fmt: skip


def _recording(run: Run) -> Recording:
    recording = Recording(run)
    if recording.seconds < LEAST_SECONDS:
        raise ResultsError(
            f"{run.path / 'latency.hlog'} holds {recording.seconds} s; a recording to draw runs "
            f"from needs {LEAST_SECONDS}.",
            hint="Record one: loadtests gate --rate 400 --run-time 620.",
        )
    return recording


def _judging_s(run: Run) -> float:
    started = time.perf_counter()
    judge_run(run, Slo(), Gate())
    return time.perf_counter() - started


def _progress(name: str) -> calibration.Progress:
    def show(done: int, of: int) -> None:
        if sys.stderr.isatty() or done % 50 == 0:
            click.echo(f"{name}: {done} of {of}", err=True)

    return show


if __name__ == "__main__":
    run_command(command)
