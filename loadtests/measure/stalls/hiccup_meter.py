"""A process that only sleeps and measures how late it wakes; one per CPU and machine.

The idea is jHiccup's (Gil Tene, https://github.com/giltene/jHiccup). A hypervisor takes CPUs away
for milliseconds, often without counting it as stolen time. What ran there was late, generator and
database alike. A process that has nothing to do but wake up sees it without looking at a latency.

Two kinds of meter:

`realtime`
    runs before every other process of the machine (SCHED_FIFO), so that none of them, whatever it
    does, can be what it waited for. Needs root or CAP_SYS_NICE.
`ordinary`
    an ordinary process. Of its lateness, the time that it waited in the run queue is subtracted
    (`/proc/self/schedstat`, second field): another process ran then, so the machine did run. It
    sees fewer stalls than the other kind: one that hides in such a wait is not counted.

Started by `StallMonitor` as `python -m loadtests.measure.stalls.hiccup_meter CPU KIND NAME`, where
no meter of that name runs yet (`readers.py`). Each reader gets `k <kind>` first (`ordinary` where
the system does not allow `realtime`), `s <from> <due> <length>` for each late wake-up, and
`u <time>` about 40 times per second: all stalls before that time have been sent. CLOCK_MONOTONIC
nanoseconds. It ends when nobody reads it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from loadtests.measure.stalls.readers import Readers

MeterKind = Literal["realtime", "ordinary"]

PERIOD_NS: Final = 1_000_000
LATE_NS: Final = 500_000
REPORT_NS: Final = 25_000_000
PRIORITY: Final = 60  # above the load process (1) and the scripted servers
_PR_SET_TIMERSLACK: Final = 29


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeper:
    """What a meter needs of its system; the tests pass their own.

    `run_queue_wait_ns` is how long this process has waited in the run queue so far. `attend` admits
    readers and raises BrokenPipeError when there are none.
    """

    clock: Callable[[], int]
    sleep: Callable[[float], None]
    run_queue_wait_ns: Callable[[], int]
    attend: Callable[[], None]
    write: Callable[[str], None]


def measure(sleeper: Sleeper) -> None:
    """Sleep and report until nobody reads (`attend` raises BrokenPipeError then)."""
    clock, sleep, wait_ns = sleeper.clock, sleeper.sleep, sleeper.run_queue_wait_ns
    waited_ns = wait_ns()
    report_ns = clock()
    while True:
        from_ns = clock()
        due_ns = from_ns + PERIOD_NS
        sleep(PERIOD_NS / 1e9)
        now_ns = clock()
        queued_ns, waited_ns = waited_ns, wait_ns()
        length_ns = now_ns - due_ns - (waited_ns - queued_ns)
        if length_ns > LATE_NS:
            sleeper.write(f"s {from_ns} {due_ns} {length_ns}\n")
        if now_ns >= report_ns:
            sleeper.attend()
            sleeper.write(f"u {now_ns}\n")
            report_ns = now_ns + REPORT_NS


def _run_queue_wait() -> Callable[[], int]:
    """Reads `/proc/self/schedstat`. Raises OSError, IndexError or ValueError without it."""
    descriptor = os.open("/proc/self/schedstat", os.O_RDONLY)
    return lambda: int(os.pread(descriptor, 64, 0).split()[1])


def main() -> None:
    """Entry point: pin to the CPU, choose the scheduling class, measure."""
    cpu, wanted, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    kind: MeterKind = "ordinary"
    try:
        os.sched_setaffinity(0, {cpu})
        wait = _run_queue_wait()
        wait()
    except (OSError, IndexError, ValueError):
        sys.exit(1)
    if wanted == "realtime":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
            kind = "realtime"
            wait = int  # nothing runs before it, so it waits for nothing: always 0
    with suppress(OSError, AttributeError):  # ordinary sleepers wake up to 50 µs late by default
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    try:
        readers = Readers(f"\0{name}", f"k {kind}\n", time.monotonic_ns)
    except OSError:
        return  # another meter of this CPU was faster
    sleeper = Sleeper(
        clock=time.monotonic_ns,
        sleep=time.sleep,
        run_queue_wait_ns=wait,
        attend=readers.attend,
        write=readers.write,
    )
    with suppress(BrokenPipeError, KeyboardInterrupt):
        measure(sleeper)


if __name__ == "__main__":
    main()
