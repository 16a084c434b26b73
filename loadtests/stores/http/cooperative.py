"""The cooperative transport, for greenlets; imported only where gevent has patched sockets."""

from __future__ import annotations

import socket
import time
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
import gevent.socket
from gevent.hub import get_hub
from gevent.monkey import get_original
from greenlet import getcurrent, greenlet

from loadtests.stores.http.transport import RECEIVE, is_quiet, seconds_left

_CHECK_EVERY_S: Final = 0.02  # of all deadlines
_READ: Final = 1
_WRITE: Final = 2
_raw_socket: type[socket.socket] = get_original("socket", "socket")

Hub = Any  # gevent has no types: hub, watchers and greenlets


def connect_gevent(host: str, port: int, deadline_ns: int) -> GeventTransport:
    """Connect by the deadline, including name resolution. Raises TimeoutError, OSError."""
    with gevent.Timeout(seconds_left(deadline_ns), TimeoutError()):
        cooperative = gevent.socket.create_connection((host, port))
    return GeventTransport(_raw_socket(fileno=cooperative.detach()))


class GeventTransport:
    """A raw non-blocking socket, and a watcher that wakes the greenlet that waits to read."""

    __slots__ = ("__weakref__", "_deadline_ns", "_hub", "_read", "_sock", "_unread", "_waiting")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._hub: Hub = get_hub()
        self._waiting: greenlet | None = None
        self._deadline_ns = 0
        self._unread = False  # data arrived while no greenlet waited
        self._read = self._hub.loop.io(sock.fileno(), _READ)
        self._read.start(self._on_readable)
        _deadlines(self._hub).add(self)

    def send(self, data: bytes, deadline_ns: int) -> None:
        """See Transport."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(data[sent:], deadline_ns)

    def receive(self, deadline_ns: int) -> bytes:
        """See Transport."""
        if self._unread:
            self._unread = False
            self._read.start(self._on_readable)
        self._deadline_ns = deadline_ns
        while True:
            self._waiting = getcurrent()
            try:
                self._hub.switch()
            finally:
                self._waiting = None
            try:
                return self._sock.recv(RECEIVE)
            except BlockingIOError:
                continue  # sockets may wake a reader without data

    def peer(self) -> tuple[Any, ...]:
        """See Transport."""
        return self._sock.getpeername()  # type: ignore[no-any-return]

    def usable(self) -> bool:
        """See Transport."""
        if not self._unread:
            return True
        if not is_quiet(self._sock):
            return False
        self._unread = False
        self._read.start(self._on_readable)
        return True

    def close(self) -> None:
        """See Transport."""
        if self._sock.fileno() >= 0:
            self._read.stop()
            self._read.close()
            self._sock.close()
            _deadlines(self._hub).discard(self)

    def end_if_late(self, now_ns: int) -> None:
        """Raise TimeoutError in a waiting reader past its deadline. Called by the hub."""
        if self._waiting is not None and now_ns >= self._deadline_ns:
            reader, self._waiting = self._waiting, None
            reader.throw(TimeoutError)

    def _on_readable(self) -> None:
        reader = self._waiting
        if reader is None:
            # The watcher would fire in every loop iteration: stop it until a greenlet reads.
            self._unread = True
            self._read.stop()
        else:
            self._waiting = None
            reader.switch()

    def _send_rest(self, data: bytes, deadline_ns: int) -> None:
        watcher = self._hub.loop.io(self._sock.fileno(), _WRITE)
        try:
            while data:
                with gevent.Timeout(seconds_left(deadline_ns), TimeoutError()):
                    self._hub.wait(watcher)
                data = data[self._sock.send(data) :]
        finally:
            watcher.close()


class _Deadlines:
    """Checks the deadlines of all connections of one hub, with one timer."""

    def __init__(self, hub: Hub) -> None:
        self._open: set[GeventTransport] = set()
        self._timer = hub.loop.timer(_CHECK_EVERY_S, _CHECK_EVERY_S, ref=False)

    def add(self, transport: GeventTransport) -> None:
        if not self._open:
            self._timer.start(self._check)
        self._open.add(transport)

    def discard(self, transport: GeventTransport) -> None:
        self._open.discard(transport)
        if not self._open:
            self._timer.stop()

    def _check(self) -> None:
        now_ns = time.perf_counter_ns()
        for transport in list(self._open):
            transport.end_if_late(now_ns)


_deadlines_of_hub: WeakKeyDictionary[Hub, _Deadlines] = WeakKeyDictionary()


def _deadlines(hub: Hub) -> _Deadlines:
    deadlines = _deadlines_of_hub.get(hub)
    if deadlines is None:
        deadlines = _deadlines_of_hub[hub] = _Deadlines(hub)
    return deadlines
