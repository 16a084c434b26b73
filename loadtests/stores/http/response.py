"""Parse untrusted HTTP/1.1 responses.

`Incoming` parses them with the C parser llhttp (`httptools`), in any pieces and any framing. A
server's responses differ only in a few values. So `HeadPattern` remembers, header by header, what a
response that llhttp accepted looked like, and parses the next response of exactly that form with
one regular expression match. Anything else goes through llhttp.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self

import httptools

HEAD_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 16 * 1024 * 1024  # DynamoDB's largest response, of BatchGetItem
_VALUE: Final = rb"[\t\x20-\x7e]*"
_LENGTH: Final = b"content-length"
_CRC32: Final = b"x-amz-crc32"
_NUMBERS: Final = {_LENGTH: rb"([0-9]{1,8})", _CRC32: rb"([0-9]{1,10})"}
# headers whose value decides how the body is read: later responses must repeat it exactly
_LITERAL: Final = (b"connection", b"content-encoding", b"upgrade", b"trailer")


class BadResponse(Exception):
    """Bytes that are not an HTTP response, or one larger than any of DynamoDB's."""


class Response(NamedTuple):
    """A whole response; `crc32` is the checksum in its header, -1 without one."""

    status: int
    body: bytes
    crc32: int
    keep_alive: bool


class HeadPattern:
    """The form of a server's usual response: which headers, in which order."""

    __slots__ = ("_crc32", "_length", "_match")

    def __init__(self, pattern: bytes, length: int, crc32: int) -> None:
        self._match = re.compile(pattern).match
        self._length = length
        self._crc32 = crc32

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """The pattern of a whole response that llhttp accepted, or None for an unusual one.

        A usual response is a `200` that keeps the connection open, with one Content-Length, at most
        one checksum and no transfer coding.
        """
        head, _, _ = data.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = [line.partition(b":") for line in lines]
        names = [name.lower() for name, _, _ in headers]
        if (
            not status.startswith(b"HTTP/1.1 200")
            or names.count(_LENGTH) != 1
            or names.count(_CRC32) > 1
            or b"transfer-encoding" in names
        ):
            return None
        groups = [name for name in names if name in _NUMBERS]
        pattern = [re.escape(status)]
        for (name, _, value), lower in zip(headers, names, strict=True):
            free = rb" ?" + _NUMBERS.get(lower, _VALUE)
            pattern.append(
                re.escape(name) + b":" + (re.escape(value) if lower in _LITERAL else free)
            )
        crc32 = groups.index(_CRC32) + 1 if _CRC32 in groups else 0
        return cls(rb"\r\n".join(pattern) + rb"\r\n\r\n", groups.index(_LENGTH) + 1, crc32)

    def parse(self, data: bytes) -> Response | None:
        """The response, if `data` is exactly one whole response of this form; otherwise None."""
        match = self._match(data)
        if match is None:
            return None
        body_at = match.end()
        if len(data) != body_at + int(match[self._length]):
            return None
        crc32 = int(match[self._crc32]) if self._crc32 else -1
        return Response(200, data[body_at:], crc32, True)


class Incoming:
    """One response as its bytes arrive, in any pieces and any framing.

    Call `feed` until `complete`. `feed` raises BadResponse.
    """

    def __init__(self) -> None:
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._keep_alive = False
        self._in_body = False
        self._fed = 0
        self._size = 0
        self._crc32 = -1
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> bool:
        """Parse the next bytes; whether the response is complete."""
        if self.complete:
            raise BadResponse("bytes after the end of the response")
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, BadResponse):
                raise cause from None
            raise BadResponse(f"not HTTP: {error}") from None
        if not self._in_body and self._fed > HEAD_LIMIT:
            raise BadResponse(f"the headers exceed {HEAD_LIMIT} bytes")
        return self.complete

    def closed(self) -> bool:
        """Whether the end of the connection ends the response.

        It ends an error page without a length. It does not end a `200`, which may be incomplete.
        """
        return self._in_body and self._status != 200

    def response(self) -> Response:
        """The response, once complete or ended by `closed`."""
        keep_alive = self.complete and self._keep_alive
        return Response(self._status, b"".join(self._body), self._crc32, keep_alive)

    # Called by the parser:

    def on_message_begin(self) -> None:
        """Refuse a second response in the same bytes."""
        if self.complete:
            raise BadResponse("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the checksum; refuse content encodings."""
        name = name.lower()
        if name == b"x-amz-crc32":
            if not value.isdigit() or len(value) > 10:
                raise BadResponse("x-amz-crc32 is not a number")
            self._crc32 = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise BadResponse("the body is compressed, which was not requested")

    def on_headers_complete(self) -> None:
        """Expect the body, unless this was an interim response."""
        self._status = int(self._parser.get_status_code())
        self._keep_alive = bool(self._parser.should_keep_alive())
        self._in_body = self._status >= 200

    def on_body(self, data: bytes) -> None:
        """Keep a piece, up to the limit."""
        self._size += len(data)
        if self._size > BODY_LIMIT:
            raise BadResponse(f"the body exceeds {BODY_LIMIT} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the end; after a `100 Continue` the response is still to come."""
        self.complete = self._in_body
