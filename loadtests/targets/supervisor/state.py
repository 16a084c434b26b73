"""The lock file of `loadtests targets up`, whose databases stay up between commands.

The supervisor holds the lock for as long as it lives; a file whose lock is free means nothing.
To end it, a process writes a stop request beside it, which needs no process id and therefore
also works from another container. Reading changes nothing.

Each network has its own file: what listens on 127.0.0.1 in one container cannot be reached from
another one, although both may share the cache folder.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.atomic_files import write_atomically
from loadtests.errors import TargetError
from loadtests.targets.embedded.download import cache_folder
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.locks import (
    HeldLock,
    LockHolder,
    LockTakenError,
    namespace,
    processes_with_open,
    read_if_held,
    take,
)
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json

STOP_TIMEOUT_S: Final = 15.0
_KILL_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
_PREFIX: Final = "targets-up-"


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """A living supervisor; `endpoints` is None while its databases start.

    `token` names this supervisor in a stop request, so that none reaches a later one.
    """

    token: str
    holder: LockHolder
    endpoints: Endpoints | None

    @property
    def pid(self) -> int:
        """Its process id in its own PID namespace: for messages."""
        return self.holder.pid


def state_file(environ: Mapping[str, str]) -> Path:
    """The path of the lock file, which contains a password: only its owner may read it."""
    return cache_folder(environ) / f"{_PREFIX}{_network()}.lock"


def read_state(environ: Mapping[str, str]) -> SupervisorState | None:
    """The supervisor of `targets up` if it is alive, also while its databases start."""
    return _read(state_file(environ))


def find_supervisor(environ: Mapping[str, str]) -> SupervisorState | None:
    """The supervisor of `targets up` if its databases are up."""
    state = read_state(environ)
    return state if state and state.endpoints else None


def supervisors_elsewhere(environ: Mapping[str, str]) -> list[SupervisorState]:
    """Living supervisors that share the cache folder and whose databases cannot be reached."""
    own = state_file(environ)
    paths = sorted(own.parent.glob(f"{_PREFIX}*.lock"))
    return [state for path in paths if path != own and (state := _read(path))]


class SupervisorLock:
    """Held by the supervisor of `targets up`; `release` deletes the file.

    Raises TargetError if another one is alive, or if there is no place for the file.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = state_file(environ)
        self._token = secrets.token_hex(8)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock: HeldLock = take(self._path)
        except LockTakenError as error:
            raise TargetError(
                f"The databases are up or starting already: {error}.",
                hint="`loadtests targets status` shows them; `loadtests targets down` stops them.",
            ) from None
        except OSError as error:
            raise TargetError(
                f"{self._path} cannot be written: {error.strerror or error}.",
                hint="Set LOADTESTS_CACHE to a folder that you can write to.",
            ) from None
        _stop_file(self._path).unlink(missing_ok=True)
        for path in self._path.parent.glob(f"{_PREFIX}*.lock"):
            if path != self._path:
                _delete_if_free(path)
        self._lock.write({"token": self._token})

    def announce(self, endpoints: Endpoints) -> None:
        """Say that the databases are up."""
        self._lock.write({"token": self._token, "endpoints": endpoints_to_json(endpoints)})

    def should_stop(self) -> bool:
        """Whether somebody asked this supervisor to stop, or deleted its file.

        Without the file nobody could find the supervisor again.
        """
        if not self._lock.is_in_place():
            return True
        with suppress(OSError):
            return _stop_file(self._path).read_text(encoding="ascii") == self._token
        return False

    def release(self) -> None:
        """The databases have ended."""
        if self._lock.is_in_place():
            _stop_file(self._path).unlink(missing_ok=True)
        self._lock.release(delete=True)


def stop_supervisor(
    environ: Mapping[str, str], state: SupervisorState, timeout_s: float = STOP_TIMEOUT_S
) -> None:
    """Ask a supervisor to stop, and wait until it has; kill it if it does not.

    Raises TargetError if it can be neither asked nor killed from here.
    """
    path = state_file(environ)
    try:
        write_atomically(_stop_file(path), state.token.encode("ascii"), mode=0o600)
    except OSError as error:
        raise TargetError(
            f"The supervisor cannot be asked to stop: {path.parent} cannot be written to "
            f"({error.strerror or error}).",
            hint=f"Stop it where it runs: {state.holder}.",
        ) from None
    if _has_stopped(path, state, timeout_s):
        return
    for pid in processes_with_open(path):  # one that has the file open is no other process
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)  # the kernel ends the databases with it
    if not _has_stopped(path, state, _KILL_TIMEOUT_S):
        raise TargetError(
            f"The supervisor did not stop within {timeout_s:.0f} s, and it cannot be killed from "
            f"here: {state.holder}.",
            hint="Stop it where it runs, or as the user that it belongs to.",
        )


def _has_stopped(path: Path, state: SupervisorState, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while (now := _read(path)) and now.token == state.token:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _read(path: Path) -> SupervisorState | None:
    try:
        content = read_if_held(path)
        if content is None:
            return None
        holder = LockHolder.of(content)
        endpoints = content.get("endpoints")
        if holder is None:
            return None
        return SupervisorState(
            str(content.get("token", "")),
            holder,
            endpoints_from_json(endpoints) if endpoints else None,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _delete_if_free(path: Path) -> None:
    with suppress(OSError, LockTakenError):
        take(path, wait_s=0.0).release(delete=True)
        _stop_file(path).unlink(missing_ok=True)


def _stop_file(path: Path) -> Path:
    return path.with_suffix(".stop")


def _network() -> str:
    """A name for the network whose 127.0.0.1 this process sees."""
    return hashlib.sha256("\n".join(_network_parts()).encode()).hexdigest()[:12]


def _network_parts() -> Iterator[str]:
    with suppress(OSError):
        yield Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        yield namespace("net")
        return
    yield platform.node()
