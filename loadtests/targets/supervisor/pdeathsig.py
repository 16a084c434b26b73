"""A script that sets the parent death signal, optionally changes the user, then runs a command.

`pdeathsig.py PARENT_PID SIGNAL OWNER [COMMAND…]`. OWNER is `-`, `UID:GID` to become that user, or
`as:UID:GID` to be seen as that user inside a user namespace. Without a command it only tries OWNER.

On Linux the kernel sends SIGNAL to this
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
_CLONE_NEWUSER = 0x10000000


def main(arguments: list[str]) -> None:
    """Never returns."""
    parent, number, owner, *command = arguments
    if int(number) != signal.SIGKILL:  # which cannot be ignored
        signal.signal(int(number), signal.SIG_DFL)
    try:
        _become(owner)
    except OSError as error:
        sys.exit(f"The user cannot be changed: {error.strerror}.")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("The parent ended before the start.")
    if not command:
        sys.exit(0)
    try:
        os.execv(command[0], command)  # noqa: S606 - to become the command is the purpose
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}.")


def _become(owner: str) -> None:
    *mapped, uid, gid = owner.split(":") if owner != "-" else ("-", "-", "-")
    if mapped == ["as"]:
        outer_uid, outer_gid = os.geteuid(), os.getegid()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for name, line in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {outer_uid} 1"),
            ("gid_map", f"{gid} {outer_gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(line)
    elif not mapped:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))


if __name__ == "__main__":
    main(sys.argv[1:])
