"""A server that does as it is told, connection by connection, for tests of clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Act = Callable[["Peer"], None]
Wrap = Callable[[socket.socket], socket.socket]


class Peer:
    """One accepted connection, from the server's side."""

    def __init__(self, sock: socket.socket, ended: threading.Event) -> None:
        self.sock = sock
        self.ended = ended
        self._read = bytearray()

    def read_request(self) -> bytes:
        """One whole request; b"" when the client is gone."""
        while b"\r\n\r\n" not in self._read:
            if not self._receive():
                return b""
        head_end = self._read.index(b"\r\n\r\n") + 4
        lengths = [
            int(line.partition(b":")[2])
            for line in bytes(self._read[:head_end]).split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        end = head_end + lengths[0]
        while len(self._read) < end:
            if not self._receive():
                return b""
        request = bytes(self._read[:end])
        del self._read[:end]
        return request

    def _receive(self) -> bool:
        data = self.sock.recv(1 << 20)
        self._read += data
        return bool(data)

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.02) -> None:
        """Slow-loris: a byte at a time, until the client or the test has had enough."""
        for byte in data:
            if self.ended.wait(every_s):
                return
            self.say(bytes([byte]))

    def hang(self) -> None:
        """Say nothing until the client leaves or the test ends."""
        self.sock.settimeout(0.05)
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.sock.recv(65536):
                    return


class HostileServer:
    """Plays one act for each connection, the last act for all further ones."""

    def __init__(self, acts: tuple[Act, ...], wrap: Wrap = lambda sock: sock) -> None:
        self._acts = acts
        self._wrap = wrap
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.connections = 0
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            act = self._acts[min(self.connections, len(self._acts) - 1)]
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._play, args=(sock, act), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, sock: socket.socket, act: Act) -> None:
        # a client that leaves in the middle is what many tests are about
        with sock, contextlib.suppress(OSError), self._wrap(sock) as wrapped:
            act(Peer(wrapped, self._ended))

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in [self._accepting, *self._threads]:
            thread.join(10)
            assert not thread.is_alive()


@contextlib.contextmanager
def hostile(*acts: Act, wrap: Wrap = lambda sock: sock) -> Iterator[HostileServer]:
    server = HostileServer(acts, wrap)
    try:
        yield server
    finally:
        server.close()


def answering(*responses: bytes) -> Act:
    """Answers the first, second, … request so, the last for all further ones, and stays open."""

    def act(peer: Peer) -> None:
        place = 0
        while peer.read_request():
            peer.say(responses[min(place, len(responses) - 1)])
            place += 1

    return act


def ok(body: bytes, *extra: bytes) -> bytes:
    """A plain 200 with a length."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *extra]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
