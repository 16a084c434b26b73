"""Figures of the load generator's own health, read once per second beside the latencies.

`ProcessProbe` runs inside each load process and costs microseconds. `HostProbe` reads /proc in the
scribe, outside the event loop. A figure that a platform does not provide is None.
"""

from __future__ import annotations

import csv
import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Final, TextIO

from pydantic import ConfigDict, Field

from loadtests.measure.results import Count, Milliseconds

STALL_NS: Final = 5_000_000  # half of single-digit milliseconds
_PRESSURES: Final = ("cpu", "memory", "io")
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


RunSeconds = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFigures:
    """What a load process offered in one second, and its users at the end. See `HealthRow`."""

    worker: str
    time_s: float
    length_s: float
    warm_up: bool
    offered: int
    queued: int
    behind_ms: float
    users: int
    free_users_min: int
    in_flight: int
    invalid_responses: int
    scheduled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFigures:
    """One second of a load process's event loop, garbage collector and CPU. See `HealthRow`."""

    heartbeat_delay_max_ms: float
    event_loop_stall_ms: float
    gc_pauses: int
    gc_paused_ms: float
    gc_pause_max_ms: float
    process_cpu: float
    cpu_wait: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFigures:
    """One second of the whole machine. See `HealthRow`."""

    host_cpu: float | None = None
    host_steal: float | None = None
    pressure_cpu: float | None = None
    pressure_memory: float | None = None
    pressure_io: float | None = None
    cpu_throttled_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayFigures:
    """One second's delays by the generator. See `HealthRow`."""

    dispatch_delay_p50_ms: float | None = None
    dispatch_delay_p99_ms: float | None = None
    dispatch_delay_max_ms: float | None = None
    event_loop_delay_p50_ms: float | None = None
    event_loop_delay_p99_ms: float | None = None
    event_loop_delay_max_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRow:
    """One second of one load process: a row of health.csv.

    Shares are 0 to 1, `_ms` milliseconds; None means unknown.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False, extra="forbid")

    worker: str
    time_s: RunSeconds
    length_s: RunSeconds
    warm_up: bool
    offered: Count  # arrivals dispatched to a user
    queued: Count  # of these, the ones that found every user busy
    behind_ms: Milliseconds  # age of the oldest arrival still waiting
    users: Count
    free_users_min: Count
    in_flight: Count
    invalid_responses: Count
    dispatch_delay_p50_ms: float | None
    dispatch_delay_p99_ms: float | None
    dispatch_delay_max_ms: float | None
    heartbeat_delay_max_ms: float
    event_loop_stall_ms: float  # time in stalls of the event loop beyond 5 ms
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
    cpu_throttled_ms: float | None = None  # held back by the control group's own CPU limit
    scheduled: Count | None = None  # measured arrivals of the schedule, dispatched or not

    @classmethod
    def of(
        cls,
        second: SecondFigures,
        process: ProcessFigures,
        host: HostFigures,
        delays: DelayFigures | None = None,
    ) -> HealthRow:
        """All figures of one second."""
        delays = delays or DelayFigures()
        return cls(**asdict(second), **asdict(process), **asdict(host), **asdict(delays))


COLUMNS: Final = tuple(field.name for field in fields(HealthRow))


def boot_id() -> str:
    """The machine's boot, by which load processes of one machine recognise each other.

    Containers of a machine have the same one. Empty where the system has none.
    """
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
    """Heartbeat delay, GC pauses, CPU time and CPU wait of this process, read once per second."""

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
        self._delay_max = self._stalled = 0
        self._reset(self._cpu_wait())

    def watch_gc(self) -> None:
        """Time every collection from now on."""
        gc.callbacks.append(self._on_gc)

    def close(self) -> None:
        """Stop timing collections."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def beat(self, delay_ns: int) -> None:
        """The event loop's heartbeat was `delay_ns` late."""
        self._delay_max = max(self._delay_max, delay_ns)
        if delay_ns > STALL_NS:
            self._stalled += delay_ns - STALL_NS

    def read(self) -> ProcessFigures:
        """The figures since the last reading."""
        span_ns = max(1, self._clock() - self._since)
        cpu_ns = self._cpu_clock() - self._cpu_since
        before_ns, now_ns = self._waited_since, self._cpu_wait()
        cpu_wait = None
        if before_ns is not None and now_ns is not None and now_ns >= before_ns:
            cpu_wait = (now_ns - before_ns) / span_ns
        figures = ProcessFigures(
            heartbeat_delay_max_ms=self._delay_max / 1e6,
            event_loop_stall_ms=self._stalled / 1e6,
            gc_pauses=self._pauses,
            gc_paused_ms=self._paused / 1e6,
            gc_pause_max_ms=self._pause_max / 1e6,
            process_cpu=cpu_ns / span_ns,
            cpu_wait=cpu_wait,
        )
        self._reset(now_ns)
        return figures

    def _reset(self, waited_ns: int | None) -> None:
        self._since = self._clock()
        self._cpu_since = self._cpu_clock()
        self._waited_since = waited_ns
        self._delay_max = self._stalled = 0
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
    """CPU, steal and pressure of the whole machine between two readings (Linux).

    And how long this process's control group was throttled (version 2 of control groups).
    """

    def __init__(
        self,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        self._proc = proc
        self._cpu_stat = _cpu_stat(proc, cgroups)
        self._clock = clock
        self._before = self._sample()

    def read(self) -> HostFigures:
        """Shares since the last reading."""
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
        return HostFigures(
            host_cpu=share("busy", ticks),
            host_steal=share("steal", ticks),
            pressure_cpu=share("cpu", span_us),
            pressure_memory=share("memory", span_us),
            pressure_io=share("io", span_us),
            cpu_throttled_ms=share("throttled_us", 1e3),
        )

    def throttled_us(self) -> float | None:
        """How long the control group has been throttled so far, microseconds."""
        try:
            fields = self._cpu_stat.read_text(encoding="ascii").split() if self._cpu_stat else []
            return float(fields[fields.index("throttled_usec") + 1])
        except (OSError, ValueError, IndexError):
            return None

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
        throttled_us = self.throttled_us()
        if throttled_us is not None:
            sample["throttled_us"] = throttled_us
        for resource in _PRESSURES:
            try:
                some = self._text(f"pressure/{resource}").split("\n", 1)[0]
                sample[resource] = float(some.rpartition("total=")[2])
            except (OSError, ValueError):
                continue
        return sample

    def _text(self, name: str) -> str:
        return (self._proc / name).read_text(encoding="ascii")


def _cpu_stat(proc: Path, cgroups: Path) -> Path | None:
    """The `cpu.stat` of this process's control group; None where there is no version 2."""
    try:
        lines = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::"):
            return cgroups / line.removeprefix("0::").lstrip("/") / "cpu.stat"
    return None


class HealthLog:
    """health.csv: each row is on disk before the next is added."""

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
