"""Stalls of a set share, on purpose: one process per CPU that takes the CPU from all others.

It shows whether stalls of the machine are seen, and whether a verdict stays right under them. Each
process is pinned to its CPU in the real-time class (SCHED_FIFO) and burns the CPU for the length of
each stall. Stalls start as a Poisson process (between the end of one and the start of the next
lies an exponential gap), so that they cannot follow any period of what is measured.

    python -m loadtests.calibrate.stall_injector CPU SHARE MIN_MS MAX_MS SEED [SECONDS [PRIORITY]]

prints `injecting`, and at the end one JSON list of `[start, end]` (CLOCK_MONOTONIC nanoseconds). It
ends after SECONDS, or when its standard input ends or is written to, so also when its parent is
killed. `StallInjector` runs one per CPU.
"""

from __future__ import annotations

import gc
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Final, NamedTuple, Self

from loadtests.errors import TargetError, UsageError
from loadtests.interpreter import module_command

MS: Final = 1_000_000
MAX_SHARE: Final = 0.9  # the kernel stops real-time processes that use more than 95% of a CPU
PRIORITY: Final = 99  # above everything else, hiccup meters included
START_S: Final = 20.0
STOP_S: Final = 10.0
READY: Final = "injecting"


class PlannedStall(NamedTuple):
    """A stall of `length_ns`, `gap_ns` after the end of the one before."""

    gap_ns: int
    length_ns: int


class InjectedStall(NamedTuple):
    """When a CPU was taken, and when it was given back; CLOCK_MONOTONIC nanoseconds."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StallPlan:
    """Stalls for `share` of the time (0 to 0.9), each of `min_ms` to `max_ms`, uniformly drawn.

    Raises UsageError for other values.
    """

    share: float
    min_ms: float
    max_ms: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.share <= MAX_SHARE:
            raise UsageError(
                f"Stalls cannot take {self.share:g} of the time.",
                hint=f"Give a share above 0 and up to {MAX_SHARE:g}.",
            )
        if not 0 < self.min_ms <= self.max_ms:
            raise UsageError(
                f"Stalls cannot last {self.min_ms:g} to {self.max_ms:g} ms.",
                hint="Give a shortest and a longest time above 0, the shortest first.",
            )

    def stalls(self, cpu: int) -> Iterator[PlannedStall]:
        """The stalls of one CPU, without end; the same for the same seed and CPU.

        Gaps are exponential with mean m(1 - share)/share, where m is the mean length of a stall.
        """
        draw = Random(f"{self.seed}/{cpu}")
        mean_ms = (self.min_ms + self.max_ms) / 2
        gaps_per_ms = self.share / (mean_ms * (1 - self.share))
        while True:
            gap_ms = draw.expovariate(gaps_per_ms)
            length_ms = draw.uniform(self.min_ms, self.max_ms)
            yield PlannedStall(round(gap_ms * MS), round(length_ms * MS))


def inject(
    stalls: Iterator[PlannedStall],
    *,
    clock: Callable[[], int],
    wait: Callable[[int], bool],
    until_ns: int | None = None,
) -> Iterator[InjectedStall]:
    """Burn this CPU as planned and yield each stall, until `wait` asks to stop or `until_ns`.

    `wait(ns)` waits for at most that long and returns true when the injection must stop. A gap
    counts from the end of the stall before, so a late wake-up never makes stalls follow closely.
    """
    for stall in stalls:
        left_ns = stall.gap_ns if until_ns is None else min(stall.gap_ns, until_ns - clock())
        if wait(max(0, left_ns)) or left_ns < stall.gap_ns:
            return
        start_ns = clock()
        now_ns = start_ns
        while now_ns < start_ns + stall.length_ns:
            now_ns = clock()
        yield InjectedStall(start_ns, now_ns)


class StallInjector:
    """Injects stalls on every CPU that this process may run on, or on `cpus`; a context manager.

    `stalls` has the injected stalls by CPU once it is left. Raises TargetError where the real-time
    class is not permitted, or a process ended early.
    """

    def __init__(
        self, plan: StallPlan, *, cpus: Sequence[int] | None = None, priority: int = PRIORITY
    ) -> None:
        self.stalls: Mapping[int, Sequence[InjectedStall]] = {}
        self._plan = plan
        self._cpus = cpus
        self._priority = priority
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start a process per CPU and wait until all inject."""
        if not sys.platform.startswith("linux"):
            raise TargetError("Stalls can be injected on Linux only.", hint="Use a Linux machine.")
        cpus = sorted(os.sched_getaffinity(0)) if self._cpus is None else self._cpus
        try:
            for cpu in cpus:
                self._processes[cpu] = self._start(cpu)
            for cpu, process in self._processes.items():
                self._await_ready(cpu, process)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the injection and read what was injected."""
        stalls: dict[int, Sequence[InjectedStall]] = {}
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None  # `communicate` would flush it
        try:
            for cpu, process in self._processes.items():
                output, _ = process.communicate(timeout=STOP_S)
                if process.returncode == 0:
                    stalls[cpu] = [InjectedStall(*pair) for pair in json.loads(output)]
        except (subprocess.TimeoutExpired, ValueError) as failure:
            if kind is None:
                raise TargetError(f"A stall injector did not end well: {failure}") from failure
        finally:
            missing = [cpu for cpu in self._processes if cpu not in stalls]
            self._kill()
        self.stalls = stalls
        if missing and kind is None:
            raise TargetError(f"The stall injector of CPU {missing[0]} ended early.")

    def _start(self, cpu: int) -> subprocess.Popen[bytes]:
        plan = self._plan
        # `inf`: until standard input ends
        numbers = (cpu, plan.share, plan.min_ms, plan.max_ms, plan.seed, "inf", self._priority)
        return subprocess.Popen(
            module_command("loadtests.calibrate.stall_injector", *map(str, numbers)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is handled by the run
        )

    def _await_ready(self, cpu: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START_S)
        line = process.stdout.readline() if ready else b""
        if line.strip() != READY.encode():
            process.kill()
            lines = process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise TargetError(
                lines[-1] if lines else f"The stall injector of CPU {cpu} did not start."
            )

    def _kill(self) -> None:
        while self._processes:
            _, process = self._processes.popitem()
            if process.poll() is None:
                process.kill()
            process.communicate()


def become_realtime(cpu: int, priority: int) -> None:
    """Pin this process to a CPU, in the real-time class. Raises TargetError."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as error:
        raise TargetError(f"This process cannot run on CPU {cpu}: {error.strerror}.") from error
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        raise TargetError(
            "Stalls cannot be injected: the system does not permit the real-time class"
            " (run as root, or grant CAP_SYS_NICE)."
        ) from error


def input_ends_within(ns: int) -> bool:
    """Wait; true as soon as standard input can be read or has ended."""
    return bool(select.select([sys.stdin], (), (), ns / 1e9)[0])


def main(arguments: Sequence[str]) -> None:
    """Inject stalls on one CPU as the command line says; see the top of the file."""
    cpu, share, min_ms, max_ms, seed, *rest = arguments
    seconds = float(rest[0]) if rest else float("inf")
    priority = int(rest[1]) if len(rest) > 1 else PRIORITY
    plan = StallPlan(share=float(share), min_ms=float(min_ms), max_ms=float(max_ms), seed=int(seed))
    become_realtime(int(cpu), priority)
    gc.freeze()
    gc.disable()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    until_ns = None if seconds == float("inf") else time.monotonic_ns() + round(seconds * 1e9)
    stalls: list[InjectedStall] = []
    with suppress(KeyboardInterrupt):  # the stalls so far are printed
        for stall in inject(
            plan.stalls(int(cpu)),
            clock=time.monotonic_ns,
            wait=input_ends_within,
            until_ns=until_ns,
        ):
            stalls.append(stall)  # noqa: PERF402 - an interrupt must not lose those before it
    sys.stdout.write(json.dumps(stalls))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (TargetError, UsageError) as refusal:
        sys.stderr.write(f"{refusal.message}\n")
        sys.exit(2)
    except ValueError:
        sys.stderr.write("Usage: CPU SHARE MIN_MS MAX_MS SEED [SECONDS [PRIORITY]]\n")
        sys.exit(2)
