"""Did the machine itself stall? A process per CPU only sleeps and measures how late it wakes.

A hypervisor takes processors away for milliseconds at a time, often without saying so (stolen time
stays 0). Everything that ran there was late, generator and server alike, and no call can tell that
from a slow client. A process that only sleeps can. The idea is jHiccup's (Gil Tene,
https://github.com/giltene/jHiccup); here each CPU has a meter with a priority above all other
processes, so that it did not wait for any of them.

`HiccupMeter` runs it as `python -m loadtests.calibrate.hiccup_meter CPU`. The process ends when its
standard input does, and prints `[[woke_ns, late_ns], …]` (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, Self

SLEEP_NS: Final = 2_000_000
LATE_NS: Final = 500_000
STOP_S: Final = 10.0
_PRIORITY: Final = 60  # above the scripted server's

Wake = tuple[int, int]  # woke at, late by; nanoseconds


class HiccupMeter:
    """Watches every CPU that this process may run on; a context manager.

    `stalled_share` is known once it is left. Where the system does not allow a priority above all
    other processes, nothing is measured and the share is None.
    """

    def __init__(self) -> None:
        self._sleepers: list[subprocess.Popen[bytes]] = []
        self._wakes: list[Sequence[Wake]] = []

    def __enter__(self) -> Self:
        """Start a sleeper per CPU."""
        if sys.platform == "linux":
            for cpu in sorted(os.sched_getaffinity(0)):
                command = [sys.executable, "-m", "loadtests.calibrate.hiccup_meter", str(cpu)]
                self._sleepers.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        start_new_session=True,  # Ctrl-C in the terminal is handled by the run
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        """Read what the sleepers measured, and end them."""
        for sleeper in self._sleepers:
            try:
                output = sleeper.communicate(timeout=STOP_S)[0]
            except subprocess.TimeoutExpired:
                sleeper.kill()
                output = sleeper.communicate()[0]
            self._wakes.append([(woke, late) for woke, late in json.loads(output or b"[]")])
        if any(sleeper.returncode for sleeper in self._sleepers):
            self._wakes.clear()  # one CPU without a measurement makes the worst CPU unknown

    def stalled_share(self, since_ns: int, until_ns: int) -> float | None:
        """Share of [since, until) that the worst CPU stalled, at least; None: unknown.

        A stall counts from the moment a sleeper was due: of one that lasts 2 ms, half is seen on
        average; of one that lasts 1 ms, a quarter.
        """
        if not self._wakes or until_ns <= since_ns:
            return None
        worst_ns = max(stalled_ns(wakes, since_ns, until_ns) for wakes in self._wakes)
        return worst_ns / (until_ns - since_ns)


def stalled_ns(wakes: Sequence[Wake], since_ns: int, until_ns: int) -> int:
    """Nanoseconds of [since, until) in which a sleeper was due and did not run."""
    return sum(max(0, min(woke, until_ns) - max(woke - late, since_ns)) for woke, late in wakes)


def watch(cpu: int) -> list[Wake]:
    """Sleep and wake on one CPU until standard input ends; return every late wake.

    Raises PermissionError where the real-time class is not permitted.
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
