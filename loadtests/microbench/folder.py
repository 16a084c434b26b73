"""Writes the run folder as the session goes: the same schema as a load run's, scenario `micro`.

Access patterns become the run's series, and are judged. What else was measured (fan-outs, client
configurations, cart sizes) is in `variants.hlog`. Every benchmark's figures are in run.json under
`micro.rows`, beside the machine's speed by suite. One call is made at a time and nothing queues, so
response time is service time.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from loadtests.measure import hlog
from loadtests.measure.environment import describe_environment, describe_targets
from loadtests.measure.health.probes import HealthRow, HostProbe, ProcessProbe, SecondFigures
from loadtests.measure.histogram import Counts, Sparse
from loadtests.measure.merger import Merged, Merger
from loadtests.measure.results import (
    IterationPlan,
    MicroInfo,
    ResultRow,
    RunConfig,
    RunInfo,
    SeriesInfo,
)
from loadtests.measure.run_folder import LATEST_MICRO, RunFolderWriter, point_latest
from loadtests.measure.series import SeriesName, SeriesPart
from loadtests.microbench.machine.checks import MachineEvidence, check_machine, clock_step_ns
from loadtests.microbench.machine.reference import MachineReference
from loadtests.microbench.suites.cases import BenchmarkSubject
from loadtests.microbench.timing.clocks import Seconds
from loadtests.model import to_iso_seconds
from loadtests.targets.endpoints import Endpoints

WORKER: Final = "benchmark"
SCENARIO: Final = "micro"
# versions that the figures depend on, beside those of every run
PACKAGES: Final = ("botocore", "aioboto3", "aiobotocore", "aiohttp", "asyncpg", "pytest-benchmark")


class MicroFolder:
    """An open run folder."""

    def __init__(
        self,
        path: Path,
        config: RunConfig,
        endpoints: Endpoints,
        *,
        tells_cpu_wait: bool,
        iterations: Mapping[str, IterationPlan] | None = None,
    ) -> None:
        now = datetime.now(UTC)
        info = RunInfo(
            id=path.name,
            scenario=SCENARIO,
            state="running",
            started_at=to_iso_seconds(now),
            config=config,
            environment=describe_environment(*PACKAGES),
            targets=describe_targets(endpoints.described()),
        )
        self._writer = RunFolderWriter(path, info, now.timestamp())
        point_latest(path, LATEST_MICRO)
        self._variants = (path / "variants.hlog").open("w", encoding="ascii")
        self._variants.write(hlog.header(now.timestamp()))
        self._merger = Merger([WORKER])
        self._probe = ProcessProbe()
        self._probe.watch_gc()
        self._host = HostProbe()
        self._written: dict[tuple[int, bool], tuple[int, dict[str, int]]] = {}
        self._health: list[HealthRow] = []
        self._waits: list[Counts] | None = [] if tells_cpu_wait else None
        self._clock_step_ns = clock_step_ns()
        self._machine = MachineReference(time.perf_counter_ns)
        self._iterations = dict(iterations or {})
        self._rows: list[ResultRow] = []

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._writer.path

    def begin_suite(self, seconds: Seconds) -> None:
        """Count from here on: whatever happened between two suites belongs to neither."""
        seconds.next()
        self._probe.read()
        self._host.read()

    def measure_machine(self) -> None:
        """Measure the machine's speed, between batches of calls."""
        self._machine.measure()

    def end_suite(self, suite: str) -> None:
        """The suite's pass is over."""
        self._machine.end_suite(suite)

    def close_second(
        self, subjects: Sequence[BenchmarkSubject], seconds: Seconds, *, warm_up: bool
    ) -> None:
        """Write what was measured since the last second ended, and begin the next."""
        index = seconds.index
        start_s, length_s = seconds.next()
        calls = 0
        lines: list[str] = []
        for subject in subjects:
            values, part = self._take(subject, warm_up=warm_up)
            calls += len(values)
            if subject.spec.pattern:
                self._merger.add(index, part)
            elif not warm_up:
                lines += [
                    hlog.format_line(
                        part.name.key(metric).tag, hlog.Interval(start_s, length_s, counts)
                    )
                    for metric, counts in part.counts.items()
                    if counts.index.size
                ]
        self._variants.write("".join(lines))
        self._variants.flush()
        row = self._add_health(start_s, length_s, calls, warm_up=warm_up)
        if not warm_up and any(subject.spec.pattern for subject in subjects):
            self._health.append(row)
        self._add(self._merger.close(index, WORKER, start_s, length_s))

    def add_rows(self, rows: Iterable[ResultRow]) -> None:
        """Put benchmarks' figures into run.json."""
        self._rows += rows
        micro = MicroInfo(
            iterations=self._iterations, machine=self._machine.suites, rows=self._rows
        )
        self._writer.update({"micro": micro})

    def finish(self, state: str) -> None:
        """Write the final run.json and close the files."""
        self._add(self._merger.finish())
        self._probe.close()
        self._machine.close()
        signals, validity = check_machine(self._evidence())
        self._writer.finish(state, self._series(), signals, validity)
        self._variants.close()

    def _take(self, subject: BenchmarkSubject, *, warm_up: bool) -> tuple[array[int], SeriesPart]:
        """A subject's calls since the last second: their service times, and all as a series."""
        columns = subject.warm_up if warm_up else subject.measured
        start, errors = self._written.get((id(subject), warm_up), (0, {}))
        self._written[id(subject), warm_up] = (len(columns.service), dict(columns.errors))
        service, wire = columns.service[start:], columns.wire[start:]
        if subject.spec.pattern and not warm_up and self._waits is not None:
            self._waits.append(_values(columns.cpu_wait[start:]))
        times = Sparse.of(_values(service))
        counts = {"response_time": times, "service_time": times}
        if wire:
            counts["wire_time"] = Sparse.of(_values(wire))
        new_errors = {
            name: count - errors.get(name, 0)
            for name, count in columns.errors.items()
            if count > errors.get(name, 0)
        }
        return service, SeriesPart(SeriesName(*subject.spec.series), warm_up, counts, new_errors)

    def _add(self, merged: Iterable[Merged]) -> None:
        for interval in merged:
            self._writer.add(interval, self._series(), *check_machine(self._evidence()))

    def _series(self) -> list[SeriesInfo]:
        """Summaries, with the client CPU per call beside the three times."""
        rows = {(row.backend, row.driver, row.pattern): row for row in self._rows if row.pattern}
        summaries = []
        for series in self._merger.summaries():
            row = rows.get((series.backend, series.driver, series.pattern))
            costs = {"client_cpu_ms": row.cpu_ms, "sdk_share": row.sdk_share} if row else {}
            summaries.append(series.model_copy(update=costs))
        return summaries

    def _evidence(self) -> MachineEvidence:
        waits = None
        if self._waits is not None:
            waits = np.concatenate(self._waits) if self._waits else np.zeros(0, np.int64)
        return MachineEvidence(
            cpu_wait_ns=waits,
            rows=self._health,
            clock_step_ns=self._clock_step_ns,
            reference_ns=self._machine.work.times_ns,
            round_trip_ns=self._machine.round_trip.times_ns,
        )

    def _add_health(
        self, start_s: float, length_s: float, calls: int, *, warm_up: bool
    ) -> HealthRow:
        second = SecondFigures(
            worker=WORKER,
            time_s=start_s,
            length_s=length_s,
            warm_up=warm_up,
            offered=calls,
            queued=0,
            behind_ms=0.0,
            users=1,
            free_users_min=0,
            in_flight=0,
            invalid_responses=0,
        )
        row = HealthRow.of(second, self._probe.read(), self._host.read())
        self._writer.add_health(row)
        return row


def _values(column: array[int]) -> Counts:
    return np.array(column, np.int64)
