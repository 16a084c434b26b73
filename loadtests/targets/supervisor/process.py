"""A database process that ends with this one, logs to a file, and is always stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from loadtests.targets.supervisor import pdeathsig

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that a server runs as, where this process's own will not do.

    `mapped`: inside a user namespace, so that it is this process's user under another id.
    """

    uid: int
    gid: int
    mapped: bool = False

    def __str__(self) -> str:
        """As pdeathsig.py reads it."""
        return f"as:{self.uid}:{self.gid}" if self.mapped else f"{self.uid}:{self.gid}"


def with_pdeathsig(
    command: Sequence[str | Path], *, owner: Owner | None, on_parent_death: signal.Signals
) -> list[str]:
    """Prefix `command` so that the kernel signals its process when this one dies."""
    return [
        sys.executable,
        "-I",
        "-S",
        pdeathsig.__file__,
        str(os.getpid()),
        str(int(on_parent_death)),
        str(owner or "-"),
        *map(str, command),
    ]


class ServerLog(Protocol):
    """What a server has written."""

    def log_text(self) -> str:
        """The end of its log."""


class DatabaseProcess:
    """A started database process. Start it from a thread that outlives it.

    Linux sends the parent death signal when the *thread* that started the process ends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        folder: Path,
        environ: Mapping[str, str],
        stop_signal: signal.Signals,
        owner: Owner | None = None,
    ) -> None:
        self._log = log
        self._stop_signal = stop_signal
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                with_pdeathsig(command, owner=owner, on_parent_death=stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environ),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> bool:
        """Whether it is no longer running."""
        return self._process.poll() is not None

    def log_text(self) -> str:
        """The last 20,000 bytes of its log."""
        return self._log.read_bytes()[-20_000:].decode("utf-8", "replace")

    def stop(self, grace_s: float = 5.0) -> None:
        """Ask it to end, kill it after `grace_s`; returns when it has ended. Safe to call twice."""
        if self.ended():
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A loopback TCP port that is free now; another process may still take it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_taken(port: int) -> bool:
    """Whether a loopback port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
