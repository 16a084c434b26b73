"""A pooler in transaction mode over a real PostgreSQL, as strict as PgBouncer's defaults.

It lets everybody in, refuses startup parameters that it does not track, gives its clients process
numbers of its own, and gives each transaction the server connection that has been idle longest. So
no two transactions in a row run on one server process, and what a session has set or prepared is on
another one, or on one that somebody else uses.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SERVERS = 2
LONGEST_S = 30.0  # of a wait; whatever waits longer has gone wrong
TRACKED = {
    "user",
    "database",
    "client_encoding",
    "datestyle",
    "timezone",
    "standard_conforming_strings",
    "application_name",
}
_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_STATUSES = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "integer_datetimes",
    "standard_conforming_strings",
    "DateStyle",
    "TimeZone",
)


@contextmanager
def open_pooler(dsn: str) -> Iterator[str]:
    """A pooler before the server at `dsn`; gives the DSN that leads through it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pooler = _Pooler(listener, dsn)
        thread = threading.Thread(target=pooler.serve)
        thread.start()
        try:
            parts = conninfo_to_dict(dsn)
            parts["port"] = str(listener.getsockname()[1])
            yield make_conninfo("", **parts)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(LONGEST_S)
            pooler.close()


class _Server:
    """A connection of the pooler to the server, used as a plain socket once it is logged in."""

    def __init__(self, dsn: str) -> None:
        self.session = psycopg.connect(dsn, autocommit=True)
        self.socket = socket.socket(fileno=os.dup(self.session.fileno()))
        self.socket.setblocking(
            True
        )  # libpq left it non-blocking: a part of a message was an error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.socket.close()
        self.session.close()


class _Pooler:
    def __init__(self, listener: socket.socket, dsn: str) -> None:
        self._listener = listener
        self._dsn = dsn
        self._idle: queue.Queue[_Server] = queue.Queue()
        for _ in range(SERVERS):
            self._idle.put(_Server(dsn))
        status = self._idle.queue[0].session.info.parameter_status
        self._statuses = {name: status(name) or "" for name in _STATUSES}
        self._threads: list[threading.Thread] = []
        self._clients: list[socket.socket] = []

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._clients.append(client)
                thread = threading.Thread(target=self._serve_client, args=(client,))
                thread.start()
                self._threads.append(thread)

    def close(self) -> None:
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONGEST_S)
            assert not thread.is_alive(), "a client of the pooler was not let go"
        while not self._idle.empty():
            self._idle.get().close()

    def _serve_client(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError, queue.Empty):
            if self._log_in(client):
                while True:
                    first = _read_message(client)
                    if first[:1] == b"X":
                        return
                    server = self._idle.get(timeout=LONGEST_S)
                    try:
                        _run_transaction(client, server.socket, first)
                    except BaseException:  # what it still owes nobody else may get
                        server.close()
                        server = _Server(self._dsn)
                        raise
                    finally:
                        self._idle.put(server)

    def _log_in(self, client: socket.socket) -> bool:
        while True:
            (length,) = struct.unpack("!i", _read(client, 4))
            packet = _read(client, length - 4)
            (code,) = struct.unpack("!i", packet[:4])
            if code in (_SSL, _GSS):
                client.sendall(b"N")
            elif code == _CANCEL:
                return False
            else:
                break
        words = packet[4:].rstrip(b"\0").decode().split("\0")
        for name in words[::2]:
            if name.lower() not in TRACKED:
                text = f"unsupported startup parameter: {name}"
                fields = f"SFATAL\0C08P01\0M{text}\0\0".encode()
                client.sendall(_message(b"E", fields))
                return False
        answer = _message(b"R", struct.pack("!i", 0))
        for name, value in self._statuses.items():
            answer += _message(b"S", f"{name}\0{value}\0".encode())
        answer += _message(b"K", os.urandom(8)) + _message(b"Z", b"I")
        client.sendall(answer)
        return True


def _run_transaction(client: socket.socket, server: socket.socket, first: bytes) -> None:
    """Pass messages on until the server is in no transaction and owes no response."""
    owed = int(first[:1] in (b"Q", b"S"))
    server.sendall(first)
    while True:
        ready, _, _ = select.select([client, server], [], [], LONGEST_S)
        if not ready:
            raise EOFError
        if server in ready:
            answer = _read_message(server)
            client.sendall(answer)
            if answer[:1] == b"Z":
                owed -= 1
                if not owed and answer[-1:] == b"I":
                    return
        elif client in ready:
            request = _read_message(client)
            owed += request[:1] in (b"Q", b"S")
            server.sendall(request)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _read_message(source: socket.socket) -> bytes:
    head = _read(source, 5)
    return head + _read(source, struct.unpack("!i", head[1:])[0] - 4)


def _read(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
