"""`python -m loadtests.cli.calibrate_gate RUN…`: what the gate's statistics are worth, as Markdown.

`make calibrate-gate` runs it; the table stands in docs/RESULTS.md.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from loadtests.__main__ import run_command
from loadtests.config import Gate, Load, Slo
from loadtests.errors import ResultsError
from loadtests.judge.calibration.absolute import Decided, measure_limits
from loadtests.judge.calibration.bootstrap import Recording
from loadtests.judge.calibration.relative import (
    Injection,
    Plan,
    measure_coverage,
    measure_outcomes,
)
from loadtests.judge.calibration.table import Cost, calibration_table
from loadtests.judge.calibration.tallies import A, Coverage, K, Outcomes, added
from loadtests.judge.interim import planned_analyses
from loadtests.judge.judging import judge_run
from loadtests.measure.results import Run, read_run

LEAST_SECONDS = 60


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
@click.option("--comparisons", type=click.IntRange(1), default=300, show_default=True)
@click.option("--seconds", type=click.IntRange(10), default=180, show_default=True,
              help="Length of a drawn run.")  # fmt: skip
@click.option("--block", type=click.IntRange(1), default=15, show_default=True,
              help="Seconds that stay together as recorded.")  # fmt: skip
@click.option("--skip", type=click.IntRange(0), default=0, show_default=True,
              help="Seconds at the start of each recording that were still warm-up.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    help="How many share the work; the figures do not depend on it. Default: all cores.",
)
def command(
    runs: tuple[Path, ...],
    comparisons: int,
    seconds: int,
    block: int,
    skip: int,
    seed: int,
    processes: int,
) -> None:
    """Measure coverage, false alarms and power on recorded runs, and print them as Markdown."""
    plan = Plan(comparisons, comparisons, seconds, block, seed=seed)
    calibration = Calibration(runs, plan, skip)
    started = time.perf_counter()
    # each process reads the recordings once; they are too large to be sent about
    with ProcessPoolExecutor(processes, initializer=_open, initargs=(runs, plan, skip)) as pool:
        coverage = _shared(pool, Calibration.coverage, comparisons, processes)
        together = _shared(pool, Calibration.together, comparisons, processes)
        apart = _shared(pool, Calibration.apart, comparisons, processes)
        limits = _shared(pool, Calibration.limits, comparisons, processes)
    cost = Cost(_judging_s(calibration.runs[0]), time.perf_counter() - started)
    click.echo(calibration_table(calibration.runs, calibration.recordings, plan, coverage,
                                 together, apart, limits, cost))  # fmt: skip


class Calibration:
    """The recordings, and each part of the work on the draws of some numbers."""

    def __init__(self, paths: Sequence[Path], plan: Plan, skip: int) -> None:
        self.plan = plan
        self.runs = [read_run(path) for path in paths]
        self.recordings = [_recording(run, skip) for run in self.runs]

    def coverage(self, numbers: range) -> dict[str, Coverage]:
        """Coverage of intervals."""
        return measure_coverage(self.recordings, self.plan, numbers)

    def together(self, numbers: range) -> dict[Injection, Outcomes]:
        """Comparisons of two subjects of one run."""
        return measure_outcomes(self.recordings, self.plan, numbers, interleaved=True)

    def apart(self, numbers: range) -> dict[Injection, Outcomes]:
        """Comparisons of two runs."""
        return measure_outcomes(self.recordings, self.plan, numbers, interleaved=False)

    def limits(self, numbers: range) -> dict[float, Decided]:
        """Absolute limits, look after look."""
        load = Load()
        looks = planned_analyses(Gate(), load.run_time - load.warm_up)
        return measure_limits(self.recordings, looks, self.plan, numbers)


_ours: Calibration  # of a process of the pool


def _open(paths: Sequence[Path], plan: Plan, skip: int) -> None:
    global _ours  # noqa: PLW0603 - how an initializer hands anything to the work that follows
    _ours = Calibration(paths, plan, skip)


def _do(work: Callable[[Calibration, range], dict[K, A]], numbers: range) -> dict[K, A]:
    return work(_ours, numbers)


def _shared(
    pool: ProcessPoolExecutor,
    work: Callable[[Calibration, range], dict[K, A]],
    count: int,
    processes: int,
) -> dict[K, A]:
    parts = min(count, 8 * processes)
    numbers = [range(part, count, parts) for part in range(parts)]
    found = []
    for done, part in enumerate(pool.map(partial(_do, work), numbers), 1):
        found.append(part)
        if sys.stderr.isatty() or done in {1, parts}:
            click.echo(f"{work.__name__}: {done} of {parts} parts", err=True)
    return added(found)


def _recording(run: Run, skip: int) -> Recording:
    recording = Recording(run, skip=skip)
    if recording.seconds < LEAST_SECONDS:
        raise ResultsError(
            f"{run.path / 'latency.hlog'} holds {recording.seconds} s"
            + (f" after the {skip} that --skip leaves out" if skip else "")
            + f"; a recording to draw runs from needs {LEAST_SECONDS}.",
            hint="Record one: loadtests gate --rate 400 --warm-up 60 --run-time 660.",
        )
    return recording


def _judging_s(run: Run) -> float:
    started = time.perf_counter()
    judge_run(run, Slo(), Gate())
    return time.perf_counter() - started


if __name__ == "__main__":
    run_command(command)
