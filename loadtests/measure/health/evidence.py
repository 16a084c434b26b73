"""What validity is judged on, in memory that does not grow with the run.

Every second's row goes to health.csv; here only sums, extremes and histograms of it are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtests.measure.health.probes import HealthRow
from loadtests.measure.histogram import Histogram, Sparse


@dataclass(slots=True)
class Mean:
    """A mean weighted by time; `value` is None while nothing was known."""

    total: float = 0.0
    seconds: float = 0.0

    def add(self, value: float | None, seconds: float) -> None:
        """Take in a figure that held for so many seconds; None is left out."""
        if value is not None:
            self.total += value * seconds
            self.seconds += seconds

    @property
    def value(self) -> float | None:
        """The mean so far."""
        return self.total / self.seconds if self.seconds else None


@dataclass(slots=True)
class WorkerEvidence:
    """One load process's measured seconds, summed up. Units as in `HealthRow`."""

    seconds: float = 0.0
    saw_a_call: bool = False
    offered: int = 0
    queued: int = 0
    users_min: int | None = None
    behind_max_ms: float = 0.0
    invalid_responses: int = 0
    event_loop_stall_ms: float = 0.0
    gc_pause_max_ms: float = 0.0
    process_cpu: Mean = field(default_factory=Mean)
    cpu_wait: Mean = field(default_factory=Mean)
    host_steal: Mean = field(default_factory=Mean)
    pressure_cpu: Mean = field(default_factory=Mean)
    dispatch_delay: Histogram = field(default_factory=Histogram)
    event_loop_delay: Histogram = field(default_factory=Histogram)

    def add(self, row: HealthRow, dispatch_delay: Sparse, event_loop_delay: Sparse) -> None:
        """Take in a second."""
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
        self.process_cpu.add(row.process_cpu, row.length_s)
        self.cpu_wait.add(row.cpu_wait, row.length_s)
        self.host_steal.add(row.host_steal, row.length_s)
        self.pressure_cpu.add(row.pressure_cpu, row.length_s)
        self.dispatch_delay.add(dispatch_delay)
        self.event_loop_delay.add(event_loop_delay)


@dataclass(slots=True)
class GeneratorEvidence:
    """All workers' measured seconds; `rate_per_s` is each one's share of the load, all lanes."""

    rate_per_s: dict[str, float] = field(default_factory=dict)
    workers: dict[str, WorkerEvidence] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def add(self, row: HealthRow, dispatch_delay: Sparse, event_loop_delay: Sparse) -> None:
        """Take in a measured second of the row's worker."""
        self.workers.setdefault(row.worker, WorkerEvidence()).add(
            row, dispatch_delay, event_loop_delay
        )
