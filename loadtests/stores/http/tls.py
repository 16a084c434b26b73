"""TLS over either kind of transport."""

from __future__ import annotations

import ssl
from typing import Any

from loadtests.stores.http.transport import RECEIVE, Transport


class TlsTransport:
    """Encrypts with OpenSSL in memory; the context decides how the certificate is checked.

    Raises ssl.SSLError (an OSError) when the handshake or a record fails.
    """

    __slots__ = ("_inner", "_received", "_tls", "_to_send")

    def __init__(
        self, inner: Transport, context: ssl.SSLContext, server_name: str, deadline_ns: int
    ) -> None:
        self._inner = inner
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=server_name)
        self._handshake(deadline_ns)

    def send(self, data: bytes, deadline_ns: int) -> None:
        """See Transport."""
        self._tls.write(data)
        self._flush(deadline_ns)

    def receive(self, deadline_ns: int) -> bytes:
        """See Transport."""
        while True:
            try:
                return self._tls.read(RECEIVE)
            except ssl.SSLWantReadError:
                self._flush(deadline_ns)
                self._fill(deadline_ns)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def peer(self) -> tuple[Any, ...]:
        """See Transport."""
        return self._inner.peer()

    def usable(self) -> bool:
        """See Transport.

        Session tickets come with the first response, so bytes on an idle connection end it.
        """
        return self._inner.usable()

    def close(self) -> None:
        """See Transport."""
        self._inner.close()

    def _handshake(self, deadline_ns: int) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(deadline_ns)
                self._fill(deadline_ns)
            else:
                self._flush(deadline_ns)
                return

    def _fill(self, deadline_ns: int) -> None:
        data = self._inner.receive(deadline_ns)
        if data:
            self._received.write(data)
        else:
            self._received.write_eof()

    def _flush(self, deadline_ns: int) -> None:
        if self._to_send.pending:
            self._inner.send(self._to_send.read(), deadline_ns)
