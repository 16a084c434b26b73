"""A script that sets the parent death signal, optionally changes the user, then runs a command.

`pdeathsig.py PARENT_PID SIGNAL UID:GID|- COMMAND…`. On Linux the kernel sends SIGNAL to this
process when its parent dies, also by `kill -9`. It is a separate script because Python's
`preexec_fn` may deadlock in a process with threads, and because a change of user clears the signal,
so that it must be set afterwards.

SIGNAL gets its default action back. A shell starts a background job with SIGINT ignored, and
`nohup` ignores SIGHUP; a command that inherited this could not be ended by SIGNAL.

It imports no other module of the project: it runs in isolated mode, before each database starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns."""
    parent, number, owner, *command = arguments
    if int(number) != signal.SIGKILL:  # which cannot be ignored
        signal.signal(int(number), signal.SIG_DFL)
    if owner != "-":
        uid, gid = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("The parent ended before the start.")
    os.execv(command[0], command)  # noqa: S606 - to become the command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
