"""Run as a script: tie this process to its parent, drop root if told to, then become a command.

`tether.py PARENT_PID SIGNAL UID:GID|- COMMAND…`. On Linux the kernel sends SIGNAL when the parent
dies, by `kill -9` too. A script of its own because Python's `preexec_fn` may deadlock in a process
with threads, and because the tie must come after the change of user, which would undo it.

It imports no part of the project: it runs isolated, before every start of a database.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns."""
    parent, signal, owner, *command = arguments
    if owner != "-":
        uid, gid = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("The parent ended before the start.")
    os.execv(command[0], command)  # noqa: S606 - to become the command is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
