"""One HTTP/1.1 connection, one exchange at a time, with no hidden retries.

A connection that the server closed while it was idle is opened again before the request is sent.
Once a byte of the request has been sent, any failure is the call's error, under its own name: a
retry would hide a failed call inside a slow one.
"""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from typing import Final, NamedTuple

from loadtests.errors import BackendError, CallError, CallTimeout, ResponseInvalid
from loadtests.stores.gevent_patch import gevent_has_patched
from loadtests.stores.http.blocking import connect_blocking
from loadtests.stores.http.response import BadResponse, HeadPattern, Incoming, Response
from loadtests.stores.http.tls import TlsTransport
from loadtests.stores.http.transport import Transport
from loadtests.targets.loopback import NotOnThisMachine, refuse_remote_peer

_MOST_PATTERNS: Final = 8  # a server whose heads differ more often has no usual response

# from the most specific class to the most general
_ERROR_NAMES: Final[tuple[tuple[type[OSError], str], ...]] = (
    (ssl.SSLCertVerificationError, "CertificateInvalid"),
    (ssl.SSLError, "TlsError"),
    (socket.gaierror, "NameNotResolved"),
    (ConnectionRefusedError, "ConnectionRefused"),
    (ConnectionError, "ConnectionReset"),
    (OSError, "ConnectionFailed"),
)


class Address(NamedTuple):
    """Where to connect; `tls` None means plain HTTP.

    With `loopback_only`, a connection that reaches another machine is closed at once.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    loopback_only: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class HttpConnection:
    """A persistent connection, opened by the first exchange.

    `wire_ns` is the wire time of the last exchange, also of a failed one: from handing the request
    to the socket until the last byte of the response has been read. It excludes opening a
    connection and includes encrypting the request.
    """

    __slots__ = ("_address", "_pattern", "_patterns_left", "_read_ns", "_transport", "wire_ns")

    def __init__(self, address: Address) -> None:
        self.wire_ns = 0
        self._address = address
        self._transport: Transport | None = None
        self._pattern: HeadPattern | None = None
        self._patterns_left = _MOST_PATTERNS
        self._read_ns = 0

    def exchange(self, request: bytes, deadline_ns: int) -> tuple[int, bytes]:
        """Send a request and return status and body of its response.

        Raises CallTimeout if the response is not complete by the deadline (a
        `time.perf_counter_ns` value), ResponseInvalid if it is not HTTP or fails its checksum, and
        BackendError, named after the failure, if the connection breaks.
        """
        self.wire_ns = 0
        transport = self._transport
        if transport is None or not transport.usable():
            transport = self._open(deadline_ns)
        begun_ns = time.perf_counter_ns()
        try:
            transport.send(request, deadline_ns)
            data = transport.receive(deadline_ns)
            self._read_ns = time.perf_counter_ns()
            response = self._pattern.parse(data) if self._pattern is not None else None
            if response is None:
                response = self._read(transport, data, deadline_ns)
            self.wire_ns = self._read_ns - begun_ns
        except BaseException as error:
            self.wire_ns = time.perf_counter_ns() - begun_ns
            self.close()
            if isinstance(error, OSError | BadResponse):
                raise self._name(error) from None
            raise
        status, body, crc32, keep_alive = response
        if not keep_alive:
            self.close()
        if crc32 >= 0 and zlib.crc32(body) != crc32:
            self.close()
            raise ResponseInvalid(
                f"The response of {self._address} does not match its CRC32.",
                name="ChecksumMismatch",
            )
        return status, body

    def close(self) -> None:
        """Close; safe to call twice. The next exchange opens a new connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _open(self, deadline_ns: int) -> Transport:
        self.close()
        host, port, tls, loopback_only = self._address
        plain: Transport | None = None
        try:
            plain = _connect(host, port, deadline_ns)
            if loopback_only:
                refuse_remote_peer(plain.peer(), f"{self._address}")
            self._transport = plain if tls is None else TlsTransport(plain, tls, host, deadline_ns)
        except BaseException as error:
            if plain is not None:
                plain.close()
            if isinstance(error, TimeoutError):
                raise CallTimeout(
                    f"{self._address} did not accept the connection in time."
                ) from None
            if isinstance(error, OSError):
                raise self._name(error) from error
            if isinstance(error, NotOnThisMachine):
                raise BackendError(error.message, name="NotOnThisMachine") from None
            raise
        return self._transport

    def _read(self, transport: Transport, data: bytes, deadline_ns: int) -> Response:
        """Read the whole response through the C parser; `data` is its first bytes."""
        incoming = Incoming()
        first_bytes = data
        while data and not incoming.feed(data):
            data = transport.receive(deadline_ns)
            self._read_ns = time.perf_counter_ns()
        if not data and not incoming.closed():
            raise ConnectionAbortedError
        response = incoming.response()
        if (
            data is first_bytes
            and response.status == 200
            and response.keep_alive
            and self._patterns_left
        ):
            self._pattern = HeadPattern.of(first_bytes) or self._pattern
            self._patterns_left -= 1
        return response

    def _name(self, error: OSError | BadResponse) -> CallError:
        if isinstance(error, BadResponse):
            return ResponseInvalid(
                f"Invalid HTTP response from {self._address}: {error}.", name="NotHttp"
            )
        if isinstance(error, TimeoutError):
            return CallTimeout(f"{self._address} did not respond in time.")
        if isinstance(error, ConnectionAbortedError):
            return BackendError(
                f"{self._address} closed the connection without responding.",
                name="ConnectionClosed",
            )
        name = next(name for kind, name in _ERROR_NAMES if isinstance(error, kind))
        return BackendError(f"{self._address}: {error.strerror or error}", name=name)


def _connect(host: str, port: int, deadline_ns: int) -> Transport:
    """Connect by the deadline, with the kind of transport that suits this process.

    Raises TimeoutError, OSError.
    """
    if gevent_has_patched():
        # imported here: a process without gevent need not load it
        from loadtests.stores.http.cooperative import connect_gevent

        return connect_gevent(host, port, deadline_ns)
    return connect_blocking(host, port, deadline_ns)
