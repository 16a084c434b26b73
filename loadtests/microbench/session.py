"""A session of benchmarks: databases, passes, the run folder; opened late, always closed.

A suite's pass runs when the first of its benchmarks is asked for. It measures all selected
benchmarks of the suite, so that they alternate; the others then find their figures ready.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from loadtests.config import Config
from loadtests.errors import LoadtestsError, UsageError
from loadtests.judge.storing import judge_with, store_verdict
from loadtests.load.child_environment import inherited_endpoints, run_id_for
from loadtests.measure.results import (
    DataSettings,
    LoadSettings,
    ResultRow,
    Run,
    RunConfig,
    read_run,
)
from loadtests.microbench.folder import SCENARIO, MicroFolder
from loadtests.microbench.rows import row_of
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import BenchmarkSubject, CallColumns, Spec
from loadtests.microbench.suites.plans import SuitePlans
from loadtests.microbench.timing.clocks import Seconds, open_clocks
from loadtests.microbench.timing.passes import Pass, timed
from loadtests.microbench.timing.warm_target import needs_warming, warm_target
from loadtests.patterns import BACKENDS
from loadtests.stores.gevent_patch import gevent_has_patched
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.client import open_endpoints


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """One benchmark's times and figures."""

    columns: CallColumns
    row: ResultRow


class BenchmarkSession:
    """Measures each of `selected`, in any order; `finish` closes everything.

    `plans` gives the iterations of each suite.
    """

    def __init__(
        self,
        config: Config,
        selected: Sequence[Spec],
        plans: SuitePlans,
        *,
        on_progress: OnProgress,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.path: Path | None = None
        self.state = "running"
        self._config = config
        self._selected = selected
        self._plans = plans
        self._target_iterations = plans.target_iterations
        self._on_progress = on_progress
        self._environ = dict(os.environ) if environ is None else environ
        self._stack = ExitStack()
        self._bench: Bench | None = None
        self._folder: MicroFolder | None = None
        self._measured: dict[Spec, MeasuredCase] = {}
        self._subjects: dict[Spec, BenchmarkSubject] = {}
        self._failed: dict[str, BaseException] = {}
        self._clocks = open_clocks()
        self._seconds = Seconds(self._clocks, 0)
        self._rng = Random(config.load.seed)

    @property
    def rows(self) -> list[ResultRow]:
        """Every benchmark's figures so far, in the order of selection."""
        return [self._measured[s].row for s in self._selected if s in self._measured]

    @property
    def is_open(self) -> bool:
        """Whether the databases are reached."""
        return self._folder is not None

    def open(self) -> None:
        """Start or reach the databases and begin the run folder. Raises LoadtestsError."""
        refuse_patched_sockets()
        endpoints = self._endpoints()
        self._runner = self._stack.enter_context(asyncio.Runner())
        bench = self._bench = Bench(self._config, endpoints)
        self._stack.callback(lambda: self._runner.run(bench.close()))
        self._folder = self._open_folder(endpoints)
        self._seconds = Seconds(self._clocks, self._clocks.now())

    def has(self, spec: Spec) -> bool:
        """Whether it has been measured, or its suite has failed."""
        return spec in self._measured or spec.suite in self._failed

    def measure(self, spec: Spec) -> MeasuredCase:
        """The benchmark's times; runs its suite's pass if it has not run. Call `open` first.

        Raises what ends the pass; LoadtestsError for those that come after.
        """
        if not self.has(spec):
            try:
                self._run_suite(spec.suite)
            except Exception as error:
                self._failed[spec.suite] = error
                raise
        if spec.suite in self._failed:
            raise LoadtestsError(f"The pass over {spec.suite} failed: {self._failed[spec.suite]}")
        return self._measured[spec]

    def call_once(self, spec: Spec) -> None:
        """Make one more call of a measured benchmark, without recording it."""
        self._runner.run(timed(self._subjects[spec], CallColumns(), self._clocks, 0))

    def finish(self, state: str, others: Sequence[ResultRow] = ()) -> None:
        """Close stores, run folder and databases; `state` is `complete` or `interrupted`.

        `others` are further figures for the run folder.
        """
        self.state = state
        folder, self._folder = self._folder, None
        try:
            if folder is not None:
                folder.add_rows(others)
                folder.finish(state)
        finally:
            self._stack.close()

    def _run_suite(self, suite: str) -> None:
        specs = [spec for spec in self._selected if spec.suite == suite]
        bench, folder = self._bench, self._folder
        assert bench is not None
        assert folder is not None
        self._warm_target(bench)
        subjects = [BenchmarkSubject(spec, spec.open(bench)) for spec in specs]
        gc.collect()
        gc.freeze()
        folder.begin_suite(self._seconds)
        try:
            self._runner.run(
                Pass(
                    subjects,
                    self._plans.of_suite[suite],
                    clocks=self._clocks,
                    seconds=self._seconds,
                    rng=self._rng,
                    on_second=lambda warm_up: folder.close_second(
                        subjects, self._seconds, warm_up=warm_up
                    ),
                    on_batches=partial(self._after_batches, folder, suite),
                ).run()
            )
        finally:
            gc.unfreeze()
            folder.end_suite(suite)
        for subject in subjects:
            row = row_of(subject.spec, subject.measured)
            self._measured[subject.spec] = MeasuredCase(subject.measured, row)
            self._subjects[subject.spec] = subject
        folder.add_rows(self._measured[spec].row for spec in specs)

    def _warm_target(self, bench: Bench) -> None:
        iterations, self._target_iterations = self._target_iterations, 0
        selected = any(spec.backend == "dynamodb" for spec in self._selected)
        if not (iterations and selected and needs_warming(bench)):
            return
        step = "Warming up DynamoDB Local"
        self._runner.run(
            warm_target(
                bench,
                iterations,
                clocks=self._clocks,
                rng=self._rng,
                on_batches=lambda done, total: self._on_progress(Progress(step, done, total)),
            )
        )

    def _after_batches(self, folder: MicroFolder, suite: str, done: int, total: int) -> None:
        folder.measure_machine()
        self._on_progress(Progress(f"Measuring {suite}", done, total))

    def _endpoints(self) -> Endpoints:
        inherited = inherited_endpoints(self._environ)
        if inherited:
            return inherited
        needed = {spec.backend for spec in self._selected}
        backends = [backend for backend in BACKENDS if backend in needed]
        return self._stack.enter_context(
            open_endpoints(self._config, backends, on_progress=self._on_progress)
        )

    def _open_folder(self, endpoints: Endpoints) -> MicroFolder:
        self.path = Path(self._config.results).absolute() / run_id_for(SCENARIO, self._environ)
        return MicroFolder(
            self.path,
            describe_settings(self._config, self._selected),
            endpoints,
            iterations=self._plans.described(self._selected),
            tells_cpu_wait=self._clocks.tells_cpu_wait,
        )


def refuse_patched_sockets() -> None:
    """Raise UsageError where gevent has replaced the sockets."""
    if gevent_has_patched():
        raise UsageError(
            "gevent has patched this process, so its calls are not those of an app.",
            hint="A pytest plugin or conftest imports locust; disable it with -p no:NAME.",
        )


def describe_settings(config: Config, selected: Sequence[Spec]) -> RunConfig:
    """The run's settings for run.json, without any DSN.

    `patterns` are those selected for every backend of the run, so that the judge notices when one
    of them was not measured.
    """
    pairs = {(spec.backend, spec.pattern) for spec in selected if spec.pattern}
    backends = {backend for backend, _ in pairs}
    patterns = [
        pattern
        for pattern in dict.fromkeys(spec.pattern for spec in selected if spec.pattern)
        if backends and all((backend, pattern) in pairs for backend in backends)
    ]
    return RunConfig(
        load=LoadSettings(seed=config.load.seed),
        data=DataSettings(**config.data.model_dump()),
        slo=config.slo,
        gate=config.gate,
        limits_from=config.limits_from,
        patterns=patterns,
    )


def conclude(path: Path, config: Config) -> Run | None:
    """Judge a finished run folder and write its reports; None when it has no access pattern.

    Raises LoadtestsError.
    """
    from loadtests.report.build import build_reports  # with matplotlib: not while measuring

    run = read_run(path)
    if not any(series.count for series in run.info.series):
        return None
    verdict = judge_with(run, config)
    run = store_verdict(run, verdict)
    build_reports(run.path)
    return run
