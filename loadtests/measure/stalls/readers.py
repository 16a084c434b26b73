"""Sharing a hiccup meter: one per CPU and machine, for all its readers.

A meter listens on a socket of Linux's abstract namespace, which has no file and ends with its
process. Binding the name is the lock: of two meters of a CPU, the second cannot bind and ends. Each
reader gets every line from the moment at which it was admitted.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_VERSION: Final = 1  # of the lines
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group
_BACKLOG: Final = 128
FIRST_READER_NS: Final = 10_000_000_000


def meter_address(cpu: int, kind: str, cgroup: Path = Path("/proc/self/cgroup")) -> str:
    """The name of the meter that this process shares with others.

    They belong to the same user and control group: what another group's CPU limit does to its meter
    is no stall of ours.
    """
    try:
        group = hashlib.sha256(cgroup.read_bytes()).hexdigest()[:12]
    except OSError:
        group = "none"
    return f"\0loadtests-hiccup-{_VERSION}/{os.getuid()}/{group}/{kind}/{cpu}"


def same_user(peer: socket.socket) -> bool:
    """Whether the other end belongs to this process's user. Anyone may bind or connect."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1]) == os.getuid()


def connect(address: str) -> socket.socket | None:
    """Connect to the meter of that name, without waiting; None where there is none.

    Raises PermissionError when another user has bound the name.
    """
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    reader.setblocking(False)
    try:
        reader.connect(address)
    except OSError:
        reader.close()
        return None
    if not same_user(reader):
        reader.close()
        raise PermissionError("The hiccup meter's name belongs to another user.")
    return reader


class Readers:
    """The readers of a meter. `greeting` is the first line that each gets.

    Raises OSError when another meter has the name.
    """

    def __init__(self, address: str, greeting: str, clock: Callable[[], int]) -> None:
        self._greeting = greeting
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(address)
        self._server.setblocking(False)
        self._server.listen(_BACKLOG)
        self._readers: list[socket.socket] = []
        self._clock = clock
        self._give_up_ns = clock() + FIRST_READER_NS

    def attend(self) -> None:
        """Admit new readers. Raises BrokenPipeError when nobody reads any more."""
        with suppress(BlockingIOError):
            while True:
                reader, _ = self._server.accept()
                reader.setblocking(False)
                if same_user(reader):
                    self._readers.append(reader)
                    self._send(reader, self._greeting.encode("ascii"))
                    self._give_up_ns = 0
                else:
                    reader.close()
        if not self._readers and self._clock() >= self._give_up_ns:
            # in this order: who connects from now on finds no meter, and starts one
            self.close()
            raise BrokenPipeError

    def close(self) -> None:
        """Give the name back and leave all readers."""
        for connection in (self._server, *self._readers):
            connection.close()

    def write(self, line: str) -> None:
        """Send a line to all readers; one that is gone, or does not read, is dropped."""
        for reader in tuple(self._readers):
            self._send(reader, line.encode("ascii"))

    def _send(self, reader: socket.socket, piece: bytes) -> None:
        try:
            if reader.send(piece, socket.MSG_NOSIGNAL) == len(piece):
                return
        except OSError:
            pass
        reader.close()
        self._readers.remove(reader)
