"""Raises the load process above the databases that share its machine, where that is allowed.

A real client does not share a machine with the database. On a shared machine, a generator that
waits for a time slice of a busy database would report that wait as the database's latency. Nice
values have no effect across sessions (the kernel groups them), so the process requests the lowest
real-time priority. The kernel still reserves a share of every core for other processes (sched(7),
sched_rt_runtime_us).
"""

from __future__ import annotations

import os
from contextlib import suppress


def raise_priority() -> str:
    """Request real-time scheduling for this process, but not for its children.

    Returns the scheduling class in effect: `real-time`, or `ordinary` where the system does not
    allow real-time scheduling.
    """
    with suppress(OSError, AttributeError):
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
        return "real-time"
    return "ordinary"
