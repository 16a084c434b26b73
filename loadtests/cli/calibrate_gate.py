"""`loadtests calibrate gate RUN…`: error rates of the gate, measured on recorded runs, as Markdown.

docs/RESULTS.md shows the tables that it printed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import click

from loadtests.cli.screen.console import is_redrawn
from loadtests.config import Gate, Load, Slo
from loadtests.errors import ResultsError
from loadtests.judge.calibration.absolute import measure_limits
from loadtests.judge.calibration.bootstrap import RecordedRun, comparable_basis
from loadtests.judge.calibration.counters import C, Coverage, Decisions, K, Outcomes, merge_counters
from loadtests.judge.calibration.percentiles import (
    BASES,
    PercentileKey,
    WindowPercentiles,
    measure_percentiles,
)
from loadtests.judge.calibration.relative import (
    CalibrationPlan,
    Slowdown,
    measure_coverage,
    measure_outcomes,
)
from loadtests.judge.calibration.table import CalibrationResults, calibration_table
from loadtests.judge.interim import planned_analyses
from loadtests.judge.judging import judge_run
from loadtests.measure.results import Basis, Run, read_run

MIN_SECONDS = 60
PARTS_PER_PROCESS = 8


@click.command("gate")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", type=click.Path(path_type=Path))
@click.option(
    "--comparisons",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="Resampled runs per table.",
)
@click.option(
    "--seconds",
    type=click.IntRange(10),
    default=180,
    show_default=True,
    help="Length of a resampled run, in seconds.",
)
@click.option(
    "--block",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="Block length of the bootstrap: recorded seconds that stay together.",
)
@click.option(
    "--skip",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seconds to leave out at the start of each recording, as further warm-up.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Random seed.")
@click.option(
    "--quiet",
    type=click.Path(path_type=Path),
    help="A recording without stalls, for the true percentiles. [default: each RUN's own]",
)
@click.option(
    "--only",
    type=click.Choice(["limits"]),
    help="Measure only how limits are decided, not coverage and comparisons.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    help="Worker processes; the figures do not depend on it. [default: all cores]",
)
def gate_command(
    runs: tuple[Path, ...],
    comparisons: int,
    seconds: int,
    block: int,
    skip: int,
    seed: int,
    quiet: Path | None,
    only: str | None,
    processes: int,
) -> None:
    """Measure the gate's coverage, false alarms and power on recorded runs; print Markdown."""
    plan = CalibrationPlan(
        runs=comparisons, comparisons=comparisons, seconds=seconds, block=block, seed=seed
    )
    results = calibrate_on(
        runs, plan, skip=skip, quiet=quiet, only_limits=only is not None, processes=processes
    )
    click.echo(calibration_table(results))


def calibrate_on(
    runs: Sequence[Path],
    plan: CalibrationPlan,
    *,
    skip: int = 0,
    quiet: Path | None = None,
    only_limits: bool = False,
    processes: int | None = None,
) -> CalibrationResults:
    """Measure the gate's error rates on recorded runs, in parallel processes.

    `quiet` is a recording without stalls, for the true percentiles. Raises ResultsError for a
    recording that is too short.
    """
    processes = processes or os.cpu_count() or 1
    source = _Source(tuple(runs), plan, skip, quiet)
    calibration = _calibration(source)
    started = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        work = partial(_distribute, pool, source, processes)
        limits = work(Calibration.limits)
        percentiles = work(Calibration.percentiles)
        coverage = {} if only_limits else work(Calibration.coverage)
        interleaved = {} if only_limits else work(Calibration.interleaved)
        separate = {} if only_limits else work(Calibration.separate)
    return CalibrationResults(
        runs=calibration.runs,
        recordings=calibration.recordings,
        plan=plan,
        coverage=coverage,
        interleaved=interleaved,
        separate=separate,
        limits=limits,
        percentiles=percentiles,
        quiet=calibration.quiet,
        judging_s=_judging_s(calibration.runs[0]),
        calibration_s=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """What a calibration is read from: small enough to send to every process."""

    paths: tuple[Path, ...]
    plan: CalibrationPlan
    skip: int
    quiet: Path | None


class Calibration:
    """The recordings, and each measurement on the resamples with the given numbers."""

    def __init__(self, source: _Source) -> None:
        self.plan = source.plan
        self.runs = [read_run(path) for path in source.paths]
        self.recordings = [_recording(run, source.skip) for run in self.runs]
        self.quiet = _recording(read_run(source.quiet), source.skip) if source.quiet else None
        load = Load()
        self._analyses = planned_analyses(Gate(), load.run_time - load.warm_up)

    def coverage(self, numbers: range) -> dict[tuple[Basis, str], Coverage]:
        """Coverage of intervals, of both sets of calls."""
        bases = BASES if comparable_basis(self.recordings) == "undisturbed" else BASES[:1]
        return {
            (basis, name): coverage
            for basis in bases
            for name, coverage in measure_coverage(
                self.recordings, self.plan, numbers, basis
            ).items()
        }

    def interleaved(self, numbers: range) -> dict[Slowdown | None, Outcomes]:
        """Comparisons of two subjects of one run."""
        return measure_outcomes(self.recordings, self.plan, numbers, interleaved=True)

    def separate(self, numbers: range) -> dict[Slowdown | None, Outcomes]:
        """Comparisons of two runs."""
        return measure_outcomes(self.recordings, self.plan, numbers, interleaved=False)

    def limits(self, numbers: range) -> dict[float | None, Decisions]:
        """Absolute limits, with the gate's interim analyses."""
        return measure_limits(self.recordings, self._analyses, self.plan, numbers, quiet=self.quiet)

    def percentiles(self, numbers: range) -> dict[PercentileKey, WindowPercentiles]:
        """Percentiles of windows of the gate's length."""
        seconds = round(self._analyses[0].measured_s)
        return measure_percentiles(self.recordings, seconds, self.plan, numbers)


@cache
def _calibration(source: _Source) -> Calibration:
    """Read the recordings once per process: they are too large to send to it."""
    return Calibration(source)


def _measure(
    measurement: Callable[[Calibration, range], dict[K, C]], source: _Source, numbers: range
) -> dict[K, C]:
    return measurement(_calibration(source), numbers)


def _distribute(
    pool: ProcessPoolExecutor,
    source: _Source,
    processes: int,
    measurement: Callable[[Calibration, range], dict[K, C]],
) -> dict[K, C]:
    """Split the resamples over the processes and add up what they count."""
    count = source.plan.comparisons
    parts = min(count, PARTS_PER_PROCESS * processes)
    numbers = [range(part, count, parts) for part in range(parts)]
    results = []
    for done, part in enumerate(pool.map(partial(_measure, measurement, source), numbers), 1):
        results.append(part)
        if is_redrawn(sys.stderr) or done in {1, parts}:
            click.echo(f"{measurement.__name__}: {done} of {parts} parts", err=True)
    return merge_counters(results)


def _recording(run: Run, skip: int) -> RecordedRun:
    recording = RecordedRun(run, skip=skip)
    if recording.seconds < MIN_SECONDS:
        skipped = f" after the first {skip} s, which --skip leaves out" if skip else ""
        raise ResultsError(
            f"{run.path / 'latency.hlog'} holds {recording.seconds} s{skipped}; "
            f"a recording needs at least {MIN_SECONDS} s.",
            hint="Record one: loadtests gate --rate 400 --warm-up 60 --run-time 660.",
        )
    return recording


def _judging_s(run: Run) -> float:
    started = time.perf_counter()
    judge_run(run, Slo(), Gate())
    return time.perf_counter() - started
