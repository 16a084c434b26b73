"""The clocks of an iteration (time, this process's CPU, wait for a CPU), and the run's seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from loadtests.measure.health.probes import SCHEDSTAT, parse_cpu_wait_ns

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Readings in nanoseconds; `cpu_wait` always reads 0 where `tells_cpu_wait` is false."""

    now: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns
    cpu_wait: Callable[[], int] = field(default=lambda: 0)
    tells_cpu_wait: bool = False


def open_clocks() -> Clocks:
    """The clocks of the calling thread; its wait for a CPU is Linux's run-queue delay."""
    try:
        descriptor = os.open(SCHEDSTAT, os.O_RDONLY)
    except OSError:
        return Clocks()
    if _read_cpu_wait_ns(descriptor) is None:
        os.close(descriptor)
        return Clocks()
    return Clocks(cpu_wait=lambda: _read_cpu_wait_ns(descriptor) or 0, tells_cpu_wait=True)


def _read_cpu_wait_ns(descriptor: int) -> int | None:
    """Read an open schedstat: one system call, where opening it each time would take three."""
    return parse_cpu_wait_ns(os.pread(descriptor, 96, 0))


@dataclass(slots=True)
class Seconds:
    """The current second of the run; `origin_ns` is the run's start on the clock."""

    clocks: Clocks
    origin_ns: int
    start_ns: int = 0

    def __post_init__(self) -> None:
        self.start_ns = self.origin_ns

    @property
    def index(self) -> int:
        """The number of the current second in the log: its start, rounded."""
        return round((self.start_ns - self.origin_ns) / _NS)

    def over(self) -> bool:
        """Whether it has lasted a second or more."""
        return self.clocks.now() - self.start_ns >= _NS

    def next(self) -> tuple[float, float]:
        """Begin the next one; start and length in seconds of the one that ends."""
        now = self.clocks.now()
        interval = ((self.start_ns - self.origin_ns) / _NS, (now - self.start_ns) / _NS)
        self.start_ns = now
        return interval
