"""Lets the load process run before the databases it shares a machine with, where that is allowed.

A real client has a machine of its own. On a shared one, a generator that must wait for a busy
database's time slice would report that wait as the database's latency. Niceness does not help
across sessions (the kernel groups them), so the real-time class is asked for, at its lowest level;
the kernel still keeps a share of every core for everyone else (sched(7), sched_rt_runtime_us).
"""

from __future__ import annotations

import os
from contextlib import suppress


def raise_priority() -> str:
    """Ask for real-time scheduling, for this process but not its children.

    Gives what it runs under now: `real-time`, or `ordinary` where the system does not allow it.
    """
    with suppress(OSError, AttributeError):
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
        return "real-time"
    return "ordinary"
