"""The clocks of an iteration: time, this process's CPU, and the wait for a CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.measure.health.probes import SCHEDSTAT, parse_cpu_wait_ns


@dataclass(frozen=True, slots=True)
class Clocks:
    """Readings in nanoseconds; `cpu_wait` always reads 0 where the kernel does not tell."""

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
