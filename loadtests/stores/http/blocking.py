"""The blocking transport, for plain threads."""

from __future__ import annotations

import socket
from typing import Any

from loadtests.stores.http.transport import RECEIVE, is_quiet, seconds_left


def connect_blocking(host: str, port: int, deadline_ns: int) -> BlockingTransport:
    """Connect by the deadline. Raises TimeoutError, OSError."""
    sock = socket.create_connection((host, port), timeout=seconds_left(deadline_ns))
    return BlockingTransport(sock)


class BlockingTransport:
    """A plain socket with a timeout."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    def send(self, data: bytes, deadline_ns: int) -> None:
        """See Transport."""
        self._sock.settimeout(seconds_left(deadline_ns))
        self._sock.sendall(data)

    def receive(self, deadline_ns: int) -> bytes:
        """See Transport."""
        self._sock.settimeout(seconds_left(deadline_ns))
        return self._sock.recv(RECEIVE)

    def peer(self) -> tuple[Any, ...]:
        """See Transport."""
        return self._sock.getpeername()  # type: ignore[no-any-return]

    def usable(self) -> bool:
        """See Transport."""
        self._sock.setblocking(False)
        return is_quiet(self._sock)

    def close(self) -> None:
        """See Transport."""
        self._sock.close()
