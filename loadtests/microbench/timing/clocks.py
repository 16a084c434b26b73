"""The clocks of an iteration: time, this process's CPU, and the wait for a CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_SCHEDSTAT: Final = "/proc/thread-self/schedstat"  # run, waited (both ns), slices


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
        descriptor = os.open(_SCHEDSTAT, os.O_RDONLY)
        read_cpu_wait(descriptor)
    except (OSError, ValueError, IndexError):
        return Clocks()
    return Clocks(cpu_wait=lambda: read_cpu_wait(descriptor), tells_cpu_wait=True)


def read_cpu_wait(descriptor: int) -> int:
    """The second number of an open schedstat. Raises ValueError, IndexError, OSError."""
    return int(os.pread(descriptor, 96, 0).split()[1])
