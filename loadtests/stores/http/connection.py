"""One HTTP/1.1 connection to a DynamoDB, one exchange at a time, with no hidden retries.

A connection that the server closed while it lay idle is opened anew before the request is sent.
Once a byte of a request is out, whatever goes wrong is the call's error, under a name of its own:
a retry would be a slow call that looks like a fast one.
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

_SHAPES: Final = 8  # a server with more kinds of usual response than that has none

# from the narrowest to the widest
_NAMES: Final[tuple[tuple[type[OSError], str], ...]] = (
    (ssl.SSLCertVerificationError, "CertificateInvalid"),
    (ssl.SSLError, "TlsError"),
    (socket.gaierror, "NameNotResolved"),
    (ConnectionRefusedError, "ConnectionRefused"),
    (ConnectionError, "ConnectionReset"),
    (OSError, "ConnectionFailed"),
)


class Address(NamedTuple):
    """Where to connect; `tls` None means plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class HttpConnection:
    """A persistent connection, opened when first needed.

    `wire_ns` is the wire time of the last exchange, also a failed one: from handing the request to
    the socket to having read the last byte of the response. Opening a connection is not in it;
    encrypting the request is.
    """

    __slots__ = ("_address", "_read_ns", "_shape", "_shapes_left", "_transport", "wire_ns")

    def __init__(self, address: Address) -> None:
        self.wire_ns = 0
        self._address = address
        self._transport: Transport | None = None
        self._shape: HeadPattern | None = None
        self._shapes_left = _SHAPES
        self._read_ns = 0

    def exchange(self, request: bytes, deadline_ns: int) -> tuple[int, bytes]:
        """Send a request and read its response: status and body.

        Raises CallTimeout when the whole response is not there by the deadline (a
        `time.perf_counter_ns` value), ResponseInvalid for what is not HTTP or fails its checksum,
        BackendError under the name of what happened to the connection.
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
            response = self._shape.take(data) if self._shape is not None else None
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
                f"{self._address} answered with a body that fails its CRC32.",
                name="ChecksumMismatch",
            )
        return status, body

    def close(self) -> None:
        """Close; safe to call twice. The next exchange opens anew."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _open(self, deadline_ns: int) -> Transport:
        self.close()
        host, port, tls = self._address
        plain: Transport | None = None
        try:
            plain = _connect(host, port, deadline_ns)
            self._transport = plain if tls is None else TlsTransport(plain, tls, host, deadline_ns)
        except BaseException as error:
            if plain is not None:
                plain.close()
            if isinstance(error, TimeoutError):
                raise CallTimeout(f"{self._address} took no connection in time.") from None
            if isinstance(error, OSError):
                raise self._name(error) from None
            raise
        return self._transport

    def _read(self, transport: Transport, data: bytes, deadline_ns: int) -> Response:
        """Read on, through the C parser, from the first bytes of a response."""
        incoming = Incoming()
        begin = data
        while data and not incoming.feed(data):
            data = transport.receive(deadline_ns)
            self._read_ns = time.perf_counter_ns()
        if not data and not incoming.closed():
            raise ConnectionAbortedError
        response = incoming.response()
        if data is begin and response.status == 200 and response.keep_alive and self._shapes_left:
            self._shape = HeadPattern.of(begin) or self._shape
            self._shapes_left -= 1
        return response

    def _name(self, error: OSError | BadResponse) -> CallError:
        if isinstance(error, BadResponse):
            return ResponseInvalid(f"{self._address} answered with {error}.", name="NotHttp")
        if isinstance(error, TimeoutError):
            return CallTimeout(f"{self._address} did not answer in time.")
        if isinstance(error, ConnectionAbortedError):
            return BackendError(
                f"{self._address} closed the connection instead of answering.",
                name="ConnectionClosed",
            )
        name = next(name for kind, name in _NAMES if isinstance(error, kind))
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
