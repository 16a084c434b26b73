"""Wire time of client libraries: time stamps taken at the socket.

Wire time runs from the first request byte handed to the socket to the last response byte read from
it. It excludes building, signing and parsing (docs/decisions/stores.md).
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class WireTime:
    """The stamps of one round trip; `clock` counts nanoseconds."""

    __slots__ = ("_clock", "_received_ns", "_sent_ns")

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        self._clock = clock
        self._sent_ns = 0
        self._received_ns = 0

    def begin(self) -> None:
        """Forget the last round trip."""
        self._sent_ns = 0
        self._received_ns = 0

    def sending(self) -> None:
        """Stamp bytes about to be handed to the socket; only the first time counts."""
        if not self._sent_ns:
            self._sent_ns = self._clock()

    def received(self) -> None:
        """Stamp bytes that have been read; the last time counts."""
        self._received_ns = self._clock()

    def elapsed_ns(self) -> int:
        """Nanoseconds on the wire: until now if no response came, 0 if nothing was sent."""
        if not self._sent_ns:
            return 0
        return max((self._received_ns or self._clock()) - self._sent_ns, 1)


class TimedSocket(socket.socket):
    """A socket for asyncio that stamps the bytes it sends and reads."""

    wire: WireTime

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """See socket.send."""
        self.wire.sending()
        return super().send(data, flags)

    def sendmsg(self, buffers: Iterable[ReadableBuffer], /, *rest: Any) -> int:
        """See socket.sendmsg."""
        self.wire.sending()
        return super().sendmsg(buffers, *rest)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """See socket.recv."""
        data = super().recv(bufsize, flags)
        self.wire.received()
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """See socket.recv_into."""
        count = super().recv_into(buffer, nbytes, flags)
        self.wire.received()
        return count


class TimedConnectionSocket:
    """A connected socket, plain or TLS, that stamps the bytes `http.client` sends and reads.

    A wrapper and not a subclass: a TLS socket takes over the descriptor of the socket it wraps.
    """

    def __init__(self, connected: socket.socket, wire: WireTime) -> None:
        self._socket = connected
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendall(self, data: ReadableBuffer) -> None:
        """See socket.sendall."""
        self._wire.sending()
        self._socket.sendall(data)

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """See socket.recv_into."""
        count = self._socket.recv_into(buffer)
        self._wire.received()
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Open for buffered reading, as the response parser does (`mode` is always "rb")."""
        del mode
        self._socket._io_refs += 1  # type: ignore[attr-defined]  # as socket.makefile does
        return io.BufferedReader(socket.SocketIO(self, "r"))  # type: ignore[arg-type]
