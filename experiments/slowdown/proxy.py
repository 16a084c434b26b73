"""A proxy on 127.0.0.1 that makes the database behind it slower by a share of its own time.

    python -m experiments.slowdown.proxy HOST PORT

It prints its port in one line. Each line on standard input is the share from then on: with 0.3
every answer takes 30% longer than the database took. It ends when standard input does. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import select
import socket
import sys
import time
from typing import Final

SPIN_NS: Final = 80_000
_RECEIVE: Final = 256 * 1024
_TIMER_SLACK: Final = 29  # PR_SET_TIMERSLACK in linux/prctl.h


class Exchange:
    """A client's connection and its own to the database; `sent_ns`: its request was passed on."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self.client, self.upstream = client, upstream
        self.sent_ns = 0
        self.due_ns = 0


class SlowingProxy:
    """Passes requests on immediately and delays answers."""

    def __init__(self, listener: socket.socket, upstream: tuple[str, int]) -> None:
        self.share = 0.0
        self._listener, self._upstream = listener, upstream
        self._epoll = select.epoll()
        self._sides: dict[int, tuple[Exchange, bool]] = {}  # by descriptor; True: the client's
        # (due, order, exchange, bytes), b"" for the end of the connection
        self._waiting: list[tuple[int, int, Exchange, bytes]] = []
        self._order = 0

    def run(self, control_fd: int) -> None:
        """Serve until `control_fd` ends."""
        listener_fd = self._listener.fileno()
        for fd in (listener_fd, control_fd):
            self._epoll.register(fd, select.EPOLLIN)
        while True:
            for fd, _ in self._wait():
                if fd in self._sides:
                    self._pass_on(*self._sides[fd])
                elif fd == listener_fd:
                    self._accept()
                elif fd == control_fd and not self._read_share(control_fd):
                    return
            self._release()

    def _wait(self) -> list[tuple[int, int]]:
        if not self._waiting:
            return self._epoll.poll(-1)
        left_ns = self._waiting[0][0] - time.monotonic_ns()
        if left_ns > SPIN_NS:
            select.select((self._epoll,), (), (), (left_ns - SPIN_NS) / 1e9)
        return self._epoll.poll(0)

    def _read_share(self, control_fd: int) -> bool:
        line = os.read(control_fd, 100)
        if line:
            self.share = float(line.split()[-1])
        return bool(line)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            upstream = socket.create_connection(self._upstream, 10)
        except OSError:
            client.close()
            return
        exchange = Exchange(client, upstream)
        for sock in (exchange.client, exchange.upstream):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(sock, select.EPOLLIN)
            self._sides[sock.fileno()] = exchange, sock is client

    def _pass_on(self, exchange: Exchange, from_client: bool) -> None:
        sock = exchange.client if from_client else exchange.upstream
        try:
            data = sock.recv(_RECEIVE)
        except ConnectionError:
            data = b""
        now_ns = time.monotonic_ns()
        if from_client:
            if not data:
                self._close(exchange)
                return
            exchange.sent_ns = now_ns
            try:
                exchange.upstream.sendall(data)
            except OSError:
                self._close(exchange)
            return
        if not data:
            self._epoll.unregister(sock)
        delay_ns = int(self.share * (now_ns - exchange.sent_ns)) if data else 0
        exchange.due_ns = max(exchange.due_ns, now_ns + delay_ns)
        self._order += 1
        heapq.heappush(self._waiting, (exchange.due_ns, self._order, exchange, data))

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
            _, _, exchange, data = heapq.heappop(self._waiting)
            try:
                if data:
                    exchange.client.sendall(data)
                else:
                    self._close(exchange)
            except OSError:
                self._close(exchange)

    def _close(self, exchange: Exchange) -> None:
        for sock in (exchange.client, exchange.upstream):
            self._sides.pop(sock.fileno(), None)
            sock.close()  # epoll forgets it by itself


def main() -> None:
    """Serve until standard input ends."""
    host, port = sys.argv[1], int(sys.argv[2])
    ctypes.CDLL(None).prctl(_TIMER_SLACK, 1, 0, 0, 0)  # wake within 1 ns, not 50 µs, of the time
    with contextlib.suppress(PermissionError):  # punctual also on a busy machine
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    SlowingProxy(listener, (host, port)).run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
