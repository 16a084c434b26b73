"""The scripted server: one epoll loop in a process of its own. Linux only.

`start.py` runs it as `python -m loadtests.calibrate.server.process SETTINGS`. It prints its port in
one line on standard output, and ends when standard input does, however its parent died.

Replies are sent as close to their due time as possible: the loop sleeps in `select` on the epoll
descriptor (whose timeout counts microseconds, where epoll's counts milliseconds) until shortly
before, and spins for the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import heapq
import json
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loadtests.calibrate.server.answers import Answers
from loadtests.calibrate.server.framing import BadRequest, Framed, take_request
from loadtests.calibrate.server.records import CallLog
from loadtests.calibrate.server.scripts import Hands, Script

SPIN_NS: Final = 80_000
_RECEIVE: Final = 64 * 1024
_TIMER_SLACK: Final = 29  # PR_SET_TIMERSLACK in linux/prctl.h
_GONE: Final = (ConnectionError, BrokenPipeError)


class Connection:
    """A client's connection: bytes read but not yet a request, and bytes not yet taken."""

    __slots__ = ("received", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.unsent = b""


class ServerLoop:
    """Reads requests, answers them when the script says, and logs both times."""

    def __init__(
        self, listener: socket.socket, script: Script, seed: int, call_log: CallLog
    ) -> None:
        self.windows: list[tuple[int, int]] = []
        self._listener = listener
        self._script = script
        self._delays: Iterator[int] = script.delays_ns(seed)
        self._hands = Hands(script.hands) if script.hands else None
        self._call_log = call_log
        self._answers = Answers()
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        # (due, order, connection, response, code, arrival): earliest first, then oldest
        self._waiting: list[tuple[int, int, Connection, bytes, int, int]] = []
        self._order = 0
        self._start_ns = 0  # of the first scripted request, from which periods count
        self._freeze = (0, 0)
        self._froze_ns = 0

    def run(self, stop_fd: int) -> None:
        """Serve until `stop_fd` can be read or is closed."""
        epoll, listener_fd = self._epoll, self._listener.fileno()
        epoll.register(listener_fd, select.EPOLLIN)
        epoll.register(stop_fd, select.EPOLLIN)
        connections = self._connections
        while True:
            for fd, event in self._wait():
                connection = connections.get(fd)
                if connection is not None:
                    if event & select.EPOLLOUT:
                        self._push(connection)
                    if event & ~select.EPOLLOUT:
                        self._read(connection)
                elif fd == listener_fd:
                    self._accept()
                elif fd == stop_fd:
                    return
            self._release()

    def _wait(self) -> list[tuple[int, int]]:
        next_ns = self._waiting[0][0] if self._waiting else 0
        if self._start_ns:
            mark = self._freeze[1] if self._froze_ns else self._freeze[0]
            next_ns = min(next_ns, mark) if next_ns else mark
        if not next_ns:
            return self._epoll.poll(-1)
        left = next_ns - time.monotonic_ns()
        if left > SPIN_NS:
            select.select((self._epoll,), (), (), (left - SPIN_NS) / 1e9)
        return self._epoll.poll(0)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the client left while in the queue
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[sock.fileno()] = Connection(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        if self._connections.pop(connection.sock.fileno(), None) is not None:
            connection.sock.close()  # epoll forgets it by itself

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except _GONE:
            data = b""
        if not data:
            self._close(connection)
            return
        arrival_ns = time.monotonic_ns()
        if connection.received:
            data = connection.received + data
        try:
            while data and (framed := take_request(data)) is not None:
                self._serve(connection, framed, arrival_ns)
                data = data[framed.end :]
            connection.received = data
        except BadRequest:
            self._close(connection)

    def _serve(self, connection: Connection, framed: Framed, arrival_ns: int) -> None:
        code, response = self._answers.answer(framed)
        if code < 0:
            self._send(connection, response)
            return
        delay_ns = next(self._delays)
        if self._script.freeze_ns and not self._start_ns:
            self._start_ns = arrival_ns
            self._freeze = self._script.freeze_of(arrival_ns, arrival_ns)
        if not delay_ns and not self._script.freeze_ns:
            if self._send(connection, response):
                self._call_log.record(code, arrival_ns, arrival_ns, time.monotonic_ns())
            return
        begin_ns = self._hands.begin_ns(arrival_ns, delay_ns) if self._hands else arrival_ns
        due_ns = self._script.due_ns(begin_ns, delay_ns, self._start_ns)
        self._order += 1
        entry = (due_ns, self._order, connection, response, code, arrival_ns)
        heapq.heappush(self._waiting, entry)

    def _release(self) -> None:
        """Send what is due; record when a freeze truly began and ended."""
        now = time.monotonic_ns()
        if self._start_ns:
            self._mark(now)
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            due_ns, _, connection, response, code, arrival_ns = heapq.heappop(waiting)
            if self._send(connection, response):
                self._call_log.record(code, arrival_ns, due_ns, time.monotonic_ns())
            now = time.monotonic_ns()

    def _mark(self, now: int) -> None:
        begin, end = self._freeze
        if not self._froze_ns and now >= begin:
            self._froze_ns = now
        if self._froze_ns and now >= end:
            self.windows.append((self._froze_ns, now))
            self._froze_ns = 0
            self._freeze = (begin + self._script.period_ns, end + self._script.period_ns)

    def _send(self, connection: Connection, response: bytes) -> bool:
        """Hand a response to the socket; False if the client is gone."""
        if connection.unsent:
            connection.unsent += response
            return True
        try:
            sent = connection.sock.send(response)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return False
        if sent < len(response):
            connection.unsent = response[sent:]
            self._epoll.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT)
        return True

    def _push(self, connection: Connection) -> None:
        rest, connection.unsent = connection.unsent, b""
        self._epoll.modify(connection.sock, select.EPOLLIN)
        self._send(connection, rest)


def main(arguments: list[str]) -> None:
    """Serve with the settings in the first argument (JSON) until standard input is read or ends."""
    settings = json.loads(arguments[0])
    if settings["cpu"] is not None:
        os.sched_setaffinity(0, {settings["cpu"]})
    ctypes.CDLL(None).prctl(_TIMER_SLACK, 1, 0, 0, 0)  # wake within 1 ns, not 50 µs, of the time
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    call_log = CallLog(Path(settings["records"]))
    server = ServerLoop(listener, Script(**settings["script"]), settings["seed"], call_log)
    # A priority above all ordinary processes, where permitted: on a busy machine the server would
    # otherwise wait for milliseconds before it sees a request, and no record shows that wait.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    gc.freeze()
    gc.disable()
    sys.stdout.write(f"listening {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    try:
        server.run(sys.stdin.fileno())
    finally:
        call_log.close()
        windows = Path(settings["windows"])
        windows.write_text(json.dumps(server.windows), encoding="utf-8")
    if not os.read(sys.stdin.fileno(), 1):  # no word: the parent is gone and will not tidy up
        shutil.rmtree(windows.parent, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
