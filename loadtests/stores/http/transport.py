"""What carries bytes to and from one server: the protocol that both kinds of transport follow.

`blocking` serves plain threads. `cooperative` serves greenlets, once gevent has patched sockets (as
Locust does): it owns a raw non-blocking socket and one watcher that stays on for the connection's
life. gevent's own sockets start and stop a watcher for every wait, and first try a read that can
only fail. One timer per hub checks all deadlines, instead of one timer per call.
docs/decisions/wire-driver.md has the figures.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Final, Protocol

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
        """Return the next bytes, as many as there are."""

    def peer(self) -> tuple[Any, ...]:
        """The socket address of the other end (`getpeername`)."""

    def usable(self) -> bool:
        """Whether the idle connection is open and has nothing to read."""

    def close(self) -> None:
        """Close; safe to call twice."""


def seconds_left(deadline_ns: int) -> float:
    """Seconds until the deadline. Raises TimeoutError when it has passed."""
    left = deadline_ns - time.perf_counter_ns()
    if left <= 0:
        raise TimeoutError
    return left / _NS


def is_quiet(sock: socket.socket) -> bool:
    """Whether a non-blocking socket is open and has nothing to read."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
