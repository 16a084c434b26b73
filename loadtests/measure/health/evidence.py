"""The evidence for a run's validity, in memory that does not grow with the run.

Every second's row goes to health.csv; only its sums, extremes and histograms stay in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtests.measure.health.backlog import WarmUpBacklog
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.histogram import Histogram


@dataclass(slots=True)
class TimeWeightedMean:
    """A mean weighted by time; `value` is None while nothing was known."""

    total: float = 0.0
    seconds: float = 0.0

    def add(self, value: float | None, seconds: float) -> None:
        """Add a figure that applied for `seconds`; None is left out."""
        if value is not None:
            self.total += value * seconds
            self.seconds += seconds

    @property
    def value(self) -> float | None:
        """The mean so far."""
        return self.total / self.seconds if self.seconds else None


@dataclass(slots=True)
class WorkerEvidence:
    """One load process's measured seconds, summed up. Units as in `HealthRow`.

    Where stalls of the machine are measured, the histograms hold only the delays that no stall can
    have touched, and `offered_undisturbed` the arrivals: the rest is the machine's doing.
    `throttled_ms` is None where no CPU limit of the control group is known.
    """

    seconds: float = 0.0
    saw_a_call: bool = False
    offered: int = 0
    offered_undisturbed: float = 0.0
    queued: int = 0
    users_min: int | None = None
    behind_max_ms: float = 0.0
    invalid_responses: int = 0
    event_loop_stall_ms: float = 0.0
    gc_pause_max_ms: float = 0.0
    throttled_ms: float | None = None
    stalls_measured: bool = False
    process_cpu: TimeWeightedMean = field(default_factory=TimeWeightedMean)
    cpu_wait: TimeWeightedMean = field(default_factory=TimeWeightedMean)
    host_steal: TimeWeightedMean = field(default_factory=TimeWeightedMean)
    pressure_cpu: TimeWeightedMean = field(default_factory=TimeWeightedMean)
    dispatch_delay: Histogram = field(default_factory=Histogram)
    event_loop_delay: Histogram = field(default_factory=Histogram)

    def add(self, row: HealthRow, delays: GeneratorDelays) -> None:
        """Add a second."""
        self.seconds += row.length_s
        # a call that waits or hangs is the database's doing and counts
        self.saw_a_call |= row.offered > 0 or row.in_flight > 0 or row.behind_ms > 0
        self.offered += row.offered
        self.queued += row.queued
        self.users_min = row.users if self.users_min is None else min(self.users_min, row.users)
        self.behind_max_ms = max(self.behind_max_ms, row.behind_ms)
        self.invalid_responses += row.invalid_responses
        self.event_loop_stall_ms += row.event_loop_stall_ms
        self.gc_pause_max_ms = max(self.gc_pause_max_ms, row.gc_pause_max_ms)
        if row.cpu_throttled_ms is not None:
            self.throttled_ms = (self.throttled_ms or 0.0) + row.cpu_throttled_ms
        self.process_cpu.add(row.process_cpu, row.length_s)
        self.cpu_wait.add(row.cpu_wait, row.length_s)
        self.host_steal.add(row.host_steal, row.length_s)
        self.pressure_cpu.add(row.pressure_cpu, row.length_s)
        dispatch, event_loop = delays.undisturbed_dispatch, delays.undisturbed_event_loop
        self.stalls_measured |= event_loop is not None
        undisturbed = 1.0
        if dispatch is not None and delays.dispatch.total:
            undisturbed = dispatch.total / delays.dispatch.total
        self.offered_undisturbed += row.offered * undisturbed
        self.dispatch_delay.add(delays.dispatch if dispatch is None else dispatch)
        self.event_loop_delay.add(delays.event_loop if event_loop is None else event_loop)


@dataclass(slots=True)
class GeneratorEvidence:
    """All workers' measured seconds; `rate_per_s` is each one's share of the load, 1/s."""

    rate_per_s: dict[str, float] = field(default_factory=dict)
    workers: dict[str, WorkerEvidence] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    backlogs: dict[str, WarmUpBacklog] = field(default_factory=dict)

    def add_warm_up(self, row: HealthRow) -> None:
        """Add a second of a worker's warm-up."""
        self.backlogs.setdefault(row.worker, WarmUpBacklog()).add_warm_up(row)

    def add(self, row: HealthRow, delays: GeneratorDelays) -> None:
        """Add a measured second of the row's worker."""
        if row.worker in self.backlogs:
            self.backlogs[row.worker].add_measured(row)
        self.workers.setdefault(row.worker, WorkerEvidence()).add(row, delays)
