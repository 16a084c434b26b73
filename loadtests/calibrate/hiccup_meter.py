"""Did the machine itself stand still? A sleeper on each processor, before everything else.

A hypervisor takes processors away for milliseconds at a time, often without saying so (stolen time
stays 0). Whatever ran there was late, generator and server alike, and no call can tell that from a
slow client. A process that only sleeps and sees how late it wakes can; the idea is jHiccup's (Gil
Tene, https://github.com/giltene/jHiccup), here on each processor and before all other processes, so
that they cannot be what it waited for.

Run by `HiccupMeter` as `python -m loadtests.calibrate.hiccup_meter CPU`; ends with its input and
prints `[[woke, late], …]`, CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import Final, Self

SLEEP_NS: Final = 2_000_000
LATE_NS: Final = 500_000
STOP_S: Final = 10.0
_PRIORITY: Final = 60  # above the scripted server's

Wake = tuple[int, int]


class HiccupMeter:
    """Watches every processor that this process may run on; a context manager.

    `lost_share` tells once it is left. Where the system does not allow it to run before all others,
    it sees nothing and says so.
    """

    def __init__(self) -> None:
        self._sleepers: list[subprocess.Popen[bytes]] = []
        self._wakes: list[list[Wake]] = []

    def __enter__(self) -> Self:
        """Start the sleepers."""
        if sys.platform == "linux":
            for cpu in sorted(os.sched_getaffinity(0)):
                command = [sys.executable, "-m", "loadtests.calibrate.hiccup_meter", str(cpu)]
                self._sleepers.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        start_new_session=True,  # Ctrl-C in the terminal is the run's business
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        """Hear what they saw, and end them."""
        for sleeper in self._sleepers:
            try:
                said = sleeper.communicate(timeout=STOP_S)[0]
            except subprocess.TimeoutExpired:
                sleeper.kill()
                said = sleeper.communicate()[0]
            self._wakes.append([(woke, late) for woke, late in json.loads(said or b"[]")])
        if any(sleeper.returncode for sleeper in self._sleepers):
            self._wakes.clear()  # one that saw nothing makes the worst of them unknown

    def lost_share(self, since_ns: int, until_ns: int) -> float | None:
        """Of the time in between, what the worst processor stood still at least; None: unknown.

        A standstill counts from when a sleeper was due: one of 2 ms by half on average, one of 1 ms
        by a quarter.
        """
        if not self._wakes or until_ns <= since_ns:
            return None
        return max(lost_ns(wakes, since_ns, until_ns) for wakes in self._wakes) / (
            until_ns - since_ns
        )


def lost_ns(wakes: list[Wake], since_ns: int, until_ns: int) -> int:
    """Nanoseconds of [since, until) in which a sleeper was due and not let run."""
    return sum(max(0, min(woke, until_ns) - max(woke - late, since_ns)) for woke, late in wakes)


def watch(cpu: int) -> list[Wake]:
    """Sleep and wake on one processor until standard input ends; every wake that was late.

    Raises PermissionError where it may not run before all others.
    """
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    wakes: list[Wake] = []
    while True:
        due_ns = time.monotonic_ns() + SLEEP_NS
        if select.select([sys.stdin], (), (), SLEEP_NS / 1e9)[0]:
            return wakes
        woke_ns = time.monotonic_ns()
        if woke_ns - due_ns > LATE_NS:
            wakes.append((woke_ns, woke_ns - due_ns))


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(watch(int(sys.argv[1]))))
    except PermissionError:
        sys.exit(1)
