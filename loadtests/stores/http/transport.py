"""Bytes to and from one server, cooperatively under gevent or blocking in a plain thread.

Under gevent (when it has patched sockets, as Locust makes it) a transport owns a raw non-blocking
socket and one watcher that stays on for the connection's life; gevent's own sockets start and stop
one for every wait, and try a read first that can only fail. Deadlines are swept by one timer a hub
instead of one a call (docs/decisions/wire-driver.md has the numbers).
"""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from loadtests.stores.http.cooperative import GeventTransport

RECEIVE: Final = 64 * 1024
_NS: Final = 1_000_000_000


class Transport(Protocol):
    """A connected byte stream. Deadlines are `time.perf_counter_ns` values.

    `send` and `receive` raise TimeoutError past their deadline, and OSError when the connection
    breaks; `receive` gives b"" at its end.
    """

    def send(self, data: bytes, deadline_ns: int) -> None:
        """Hand all of `data` to the socket."""

    def receive(self, deadline_ns: int) -> bytes:
        """The next bytes, as many as there are."""

    def usable(self) -> bool:
        """Whether the idle connection is still open, with nothing unasked-for to be read."""

    def close(self) -> None:
        """Close; safe to call twice."""


def gevent_has_patched() -> bool:
    """Whether sockets are cooperative in this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return bool(monkey and monkey.is_module_patched("socket"))


def connect(host: str, port: int, deadline_ns: int) -> BlockingTransport | GeventTransport:
    """Connect by the deadline. Raises TimeoutError, OSError."""
    if gevent_has_patched():
        from loadtests.stores.http.cooperative import connect_gevent

        return connect_gevent(host, port, deadline_ns)
    sock = socket.create_connection((host, port), timeout=seconds_left(deadline_ns))
    return BlockingTransport(sock)


def seconds_left(deadline_ns: int) -> float:
    """Seconds until the deadline. Raises TimeoutError when it has passed."""
    left = deadline_ns - time.perf_counter_ns()
    if left <= 0:
        raise TimeoutError
    return left / _NS


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

    def usable(self) -> bool:
        """See Transport."""
        self._sock.setblocking(False)
        return is_quiet(self._sock)

    def close(self) -> None:
        """See Transport."""
        self._sock.close()


def is_quiet(sock: socket.socket) -> bool:
    """Whether a non-blocking socket is open and has nothing to read."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
