"""The generator is a suspect: what is watched of it, each second, beside the latencies.

`ProcessProbe` runs inside each load process and costs microseconds. `HostProbe` reads /proc in the
scribe, outside the event loop; what a platform does not offer stays None.
"""

from __future__ import annotations

import csv
import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TextIO

STALL_NS: Final = 5_000_000  # half of single-digit milliseconds
_PRESSURES: Final = ("cpu", "memory", "io")
SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One second of one load process; shares are 0-1, `_ms` milliseconds, None where unknown."""

    worker: str
    time_s: float
    length_s: float
    warm_up: bool
    offered: int  # arrivals handed to a user
    queued: int  # of these, the ones that found every user busy
    behind_ms: float  # age of the oldest arrival still waiting
    users: int
    free_users_min: int
    in_flight: int
    invalid_responses: int
    dispatch_delay_p50_ms: float | None
    dispatch_delay_p99_ms: float | None
    dispatch_delay_max_ms: float | None
    heartbeat_delay_max_ms: float
    event_loop_stall_ms: float  # time the loop stood still beyond 5 ms at a stretch
    gc_pauses: int
    gc_paused_ms: float
    gc_pause_max_ms: float
    process_cpu: float  # of one core
    host_cpu: float | None = None  # of all cores
    host_steal: float | None = None
    pressure_cpu: float | None = None  # share of time some task waited for a CPU
    pressure_memory: float | None = None
    pressure_io: float | None = None
    event_loop_delay_p50_ms: float | None = (
        None  # how long an answer would have waited for the loop
    )
    event_loop_delay_p99_ms: float | None = None
    event_loop_delay_max_ms: float | None = None
    cpu_wait: float | None = None  # share of time runnable and not running


COLUMNS: Final = tuple(field.name for field in fields(HealthRow))


def read_cpu_wait_ns() -> int | None:
    """How long this thread has been ready to run while others ran (Linux's run-queue delay).

    None where the kernel does not count it.
    """
    try:
        return parse_cpu_wait_ns(SCHEDSTAT.read_bytes())
    except OSError:
        return None


def parse_cpu_wait_ns(schedstat: bytes) -> int | None:
    """Read the wait from a schedstat: time run, time waited (both ns) and time slices.

    None where the kernel does not count it (it then writes 0 0 0).
    """
    try:
        _, waited_ns, slices = schedstat.split()
        return int(waited_ns) if int(slices) else None
    except ValueError:
        return None


class ProcessProbe:
    """Loop lag, GC pauses, CPU of this process and its wait for one, read once a second."""

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        cpu_clock: Callable[[], int] = time.process_time_ns,
        cpu_wait: Callable[[], int | None] = read_cpu_wait_ns,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._cpu_wait = cpu_wait
        self._gc_began = 0
        self._lag_max = self._stalled = 0
        self._reset()

    def watch_gc(self) -> None:
        """Time every collection from now on."""
        gc.callbacks.append(self._on_gc)

    def close(self) -> None:
        """Stop timing collections."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def beat(self, lag_ns: int) -> None:
        """The loop's heartbeat came `lag_ns` late."""
        self._lag_max = max(self._lag_max, lag_ns)
        if lag_ns > STALL_NS:
            self._stalled += lag_ns - STALL_NS

    def read(self) -> dict[str, Any]:
        """This second's figures under `HealthRow`'s names."""
        span = max(1, self._clock() - self._since)
        figures: dict[str, Any] = {
            "heartbeat_delay_max_ms": self._lag_max / 1e6,
            "event_loop_stall_ms": self._stalled / 1e6,
            "gc_pauses": self._pauses,
            "gc_paused_ms": self._paused / 1e6,
            "gc_pause_max_ms": self._pause_max / 1e6,
            "process_cpu": (self._cpu_clock() - self._cpu_since) / span,
        }
        before = self._waited_since
        self._reset()
        now = self._waited_since
        figures["cpu_wait"] = None
        if before is not None and now is not None and now >= before:
            figures["cpu_wait"] = (now - before) / span
        return figures

    def _reset(self) -> None:
        self._since = self._clock()
        self._cpu_since = self._cpu_clock()
        self._waited_since = self._cpu_wait()
        self._lag_max = self._stalled = 0
        self._pauses = self._paused = self._pause_max = 0

    def _on_gc(self, phase: str, info: dict[str, int]) -> None:
        del info
        if phase == "start":
            self._gc_began = self._clock()
            return
        pause = self._clock() - self._gc_began
        self._pauses += 1
        self._paused += pause
        self._pause_max = max(self._pause_max, pause)


class HostProbe:
    """CPU, steal and pressure of the whole machine between two readings (Linux)."""

    def __init__(
        self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc = proc
        self._clock = clock
        self._before = self._sample()

    def read(self) -> dict[str, float | None]:
        """Shares since the last reading under `HealthRow`'s names."""
        before, self._before = self._before, self._sample()
        now = self._before
        span_us = max(1e-6, now["time"] - before["time"]) * 1e6

        def share(key: str, whole: float | None) -> float | None:
            if key not in now or key not in before or not whole:
                return None
            # a counter that went backwards (wrapped, or a moved virtual machine) tells nothing
            grown = now[key] - before[key]
            return grown / whole if grown >= 0 and whole > 0 else None

        ticks = now["total"] - before["total"] if "total" in now and "total" in before else None
        return {
            "host_cpu": share("busy", ticks),
            "host_steal": share("steal", ticks),
            **{f"pressure_{name}": share(name, span_us) for name in _PRESSURES},
        }

    def _sample(self) -> dict[str, float]:
        sample = {"time": self._clock()}
        try:
            ticks = [float(x) for x in self._text("stat").split("\n", 1)[0].split()[1:9]]
            # user nice system idle iowait irq softirq steal
            sample["steal"] = ticks[7]  # first: a line without it is not used at all
            sample["total"] = sum(ticks)
            sample["busy"] = sum(ticks) - ticks[3] - ticks[4]
        except (OSError, ValueError, IndexError):
            pass
        for resource in _PRESSURES:
            try:
                some = self._text(f"pressure/{resource}").split("\n", 1)[0]
                sample[resource] = float(some.rpartition("total=")[2])
            except (OSError, ValueError):
                continue
        return sample

    def _text(self, name: str) -> str:
        return (self._proc / name).read_text(encoding="ascii")


class HealthLog:
    """health.csv, a row at a time, each on disk before the next."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._writer = csv.DictWriter(out, COLUMNS)
        self._writer.writeheader()
        out.flush()

    def write(self, row: HealthRow) -> None:
        """Add a row."""
        cells = {
            name: f"{value:.4f}" if isinstance(value, float) else value
            for name, value in asdict(row).items()
        }
        self._writer.writerow(cells)
        self._out.flush()
