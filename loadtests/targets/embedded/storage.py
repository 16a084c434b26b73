"""Where the embedded databases store their files, and how files of killed runs are found.

Each supervisor has its own folder beside a lock file, which it locks for as long as it runs. A
folder whose lock is free is unused: the next start deletes it. Process ids and clocks are not used,
so containers that share a temporary folder do not delete each other's files.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from loadtests.config import Data, PostgresStorage
from loadtests.errors import TargetError
from loadtests.host_limits import available_memory_bytes
from loadtests.targets.endpoints import Storage
from loadtests.targets.locks import HeldLock, LockTakenError, take

PREFIX: Final = "loadtests-targets-"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the kernel's file system in memory
# An empty cluster takes about 40 MB and its write-ahead log up to 256 MB (postgres.py).
_EMPTY_CLUSTER_BYTES: Final = 512 << 20
_BYTES_PER_CART_LINE: Final = 1_500  # measured with room for indexes and dead rows
_BYTES_PER_USER: Final = 8_000
_BYTES_PER_BOOK: Final = 1_500


def open_folder(stack: ExitStack, parent: Path | None = None) -> Path:
    """Make a folder below `parent` or the temporary folder; `stack` deletes it.

    Raises TargetError.
    """
    parent = parent or temporary_folder()
    sweep(parent)
    folder = parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        lock = take(folder.with_suffix(".lock"))
        folder.mkdir(mode=0o700)
    except (OSError, LockTakenError) as error:
        raise TargetError(
            f"The folder for the databases' files cannot be created below {parent} ({error}).",
            hint="Free disk space there, or set TMPDIR to another folder.",
        ) from None
    stack.callback(_remove, folder, lock)
    return folder


def sweep(parent: Path) -> None:
    """Delete the files of supervisors that were killed; their databases ended with them."""
    for name in parent.glob(f"{PREFIX}*.lock"):
        with suppress(OSError, LockTakenError):  # taken: its supervisor is alive
            if name.stat(follow_symlinks=False).st_uid == os.geteuid():
                _remove(name.with_suffix(""), take(name, wait_s=0.0))


def postgres_folder(stack: ExitStack, wanted: PostgresStorage, data: Data) -> Path | None:
    """The folder in memory for PostgreSQL's data; None to store it in the temporary folder.

    Raises TargetError if there is not enough room where it is to be.
    """
    needed = room_needed_bytes(data)
    rooms: list[str] = []
    if wanted != "disk":
        available = room_in_memory_bytes()
        if available >= needed:
            with suppress(TargetError):
                return open_folder(stack, MEMORY)
        rooms.append(f"{available >> 20:,} MiB in {MEMORY}")
    if wanted != "memory":
        disk = temporary_folder()
        available = shutil.disk_usage(disk).free
        if available >= needed:
            return None
        rooms.append(f"{available >> 20:,} MiB in {disk}")
    raise TargetError(
        f"PostgreSQL's data needs {needed >> 20:,} MiB, and there are {' and '.join(rooms)} "
        "available.",
        hint={
            "memory": 'Set postgres_storage to "disk" or "auto", or provide more memory (in a '
            "container with --shm-size).",
            "disk": "Set TMPDIR to a folder with more room.",
            "auto": "Set TMPDIR to a folder with more room, or provide more memory (in a container "
            "with --shm-size).",
        }[wanted],
    )


def temporary_folder() -> Path:
    """The folder for temporary files. Raises TargetError if none can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        raise TargetError(
            "There is no folder for temporary files that can be written to.",
            hint="Set TMPDIR to one.",
        ) from None


def room_needed_bytes(data: Data) -> int:
    """The size that PostgreSQL's files may reach with this data set."""
    lines = data.users * data.lines_per_cart
    return (
        _EMPTY_CLUSTER_BYTES
        + lines * _BYTES_PER_CART_LINE
        + data.users * _BYTES_PER_USER
        + data.books * _BYTES_PER_BOOK
    )


def room_in_memory_bytes() -> int:
    """How much can be written to `MEMORY`; at most half of the available memory."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        return 0
    writable = os.access(MEMORY, os.W_OK | os.X_OK)
    return min(free, available_memory_bytes() // 2) if writable else 0


def storage_label(folder: Path | None) -> Storage:
    """The name of the storage in reports."""
    return "memory" if folder else "disk"


def _remove(folder: Path, lock: HeldLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release(delete=True)
