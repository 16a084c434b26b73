"""Locks on files, which tell what is alive.

The kernel releases a lock (flock(2)) when the process that holds it ends, however it ends. A lock
is valid in every container that shares the file, and depends neither on process ids nor on clocks:
both mean something else in another PID namespace, or after the system time was set. So a lock
decides what is alive, and what its holder wrote into the file is for messages only.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_POLL_S: Final = 0.05
_NOTICE_EVERY_S: Final = 10.0
# A process that asks if a lock is free takes it for a moment.
_GRACE_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a lock, by its own account."""

    pid: int
    command: str
    since: str
    host: str
    pid_namespace: str

    @classmethod
    def this_process(cls) -> LockHolder:
        """This process."""
        program, *arguments = sys.orig_argv or [sys.executable]
        return cls(
            pid=os.getpid(),
            command=" ".join([Path(program).name, *arguments])[:120],
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            host=platform.node(),
            pid_namespace=namespace("pid"),
        )

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> LockHolder | None:
        """Read what `HeldLock.write` wrote; None if it is not complete."""
        try:
            return cls(**{name: content[name] for name in cls.__slots__})
        except (KeyError, TypeError):
            return None

    @property
    def is_visible(self) -> bool:
        """Whether its process id means the same process here."""
        return self.pid_namespace == namespace("pid") and self.host == platform.node()

    def __str__(self) -> str:
        where = "" if self.is_visible else f" of another container or machine ({self.host})"
        return f"process {self.pid}{where} ({self.command}, since {self.since})"


class LockTakenError(Exception):
    """Another process holds the lock; `holder` is None where it has not said who it is."""

    def __init__(self, holder: LockHolder | None) -> None:
        super().__init__(str(holder or "another process"))
        self.holder = holder


class HeldLock:
    """A lock that this process holds until `release`, or until it ends."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        os.ftruncate(handle, 0)  # what a former holder wrote
        self.write({})

    def write(self, facts: Mapping[str, object]) -> None:
        """Replace the content of the file: this process as the holder, and `facts`."""
        content = json.dumps(asdict(LockHolder.this_process()) | dict(facts)).encode()
        os.pwrite(self._handle, content, 0)
        os.ftruncate(self._handle, len(content))

    def is_in_place(self) -> bool:
        """Whether the file still has its name; not if somebody deleted it."""
        return _is_same_file(self._handle, self.path)

    def release(self, *, delete: bool = False) -> None:
        """Release the lock; `delete` removes the file first, before others can lock it."""
        if delete and self.is_in_place():
            self.path.unlink(missing_ok=True)
        os.close(self._handle)


def take(
    path: Path,
    *,
    wait_s: float = _GRACE_S,
    on_wait: Callable[[LockHolder | None], None] | None = None,
) -> HeldLock:
    """Take the lock on `path`, which is created with access for its owner alone.

    Waits up to `wait_s`; `on_wait` is called when the wait has begun and every 10 s. Raises
    LockTakenError if another process still holds it then, OSError if the file cannot be locked.
    """
    begin_s = time.monotonic()
    notice_s = begin_s + _GRACE_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(handle, path):
                return HeldLock(path, handle)
            os.close(handle)  # its former holder has deleted it meanwhile: another try
            continue
        except BlockingIOError:
            holder = LockHolder.of(_content(handle))
            os.close(handle)
        except BaseException:
            os.close(handle)
            raise
        now_s = time.monotonic()
        if now_s - begin_s >= wait_s:
            raise LockTakenError(holder)
        if on_wait and now_s >= notice_s:
            notice_s = now_s + _NOTICE_EVERY_S
            on_wait(holder)
        time.sleep(_POLL_S)


def read_if_held(path: Path) -> dict[str, Any] | None:
    """The content of a lock file whose holder is alive; None if nobody holds it or it is absent.

    Changes nothing. The content may be empty for a moment. Raises OSError if the file cannot be
    read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _content(handle)
    finally:
        os.close(handle)  # which releases what it got
    return None


def processes_with_open(path: Path) -> list[int]:
    """The ids of the visible processes that have this file open."""
    status = path.stat()
    pids = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.path.samestat(status, entry.stat()) for entry in folder.iterdir()):
                pids.append(int(folder.parent.name))
        except OSError:
            continue  # it has ended, or belongs to another user
    return pids


def namespace(kind: str) -> str:
    """The name of this process's namespace of a kind (`pid`, `net`); empty where there is none."""
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def _content(handle: int) -> dict[str, Any]:
    try:
        content = json.loads(os.pread(handle, 65_536, 0))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
