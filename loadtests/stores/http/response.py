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
BODY_LIMIT: Final = 16 * 1024 * 1024  # DynamoDB's largest answer, of BatchGetItem
_VALUE: Final = rb"[\t\x20-\x7e]*"
_LENGTH: Final = b"content-length"
_CRC32: Final = b"x-amz-crc32"
_NUMBERS: Final = {_LENGTH: rb"([0-9]{1,8})", _CRC32: rb"([0-9]{1,10})"}
# headers whose value says how to read the body; a response must repeat them to the letter
_LITERAL: Final = (b"connection", b"content-encoding", b"upgrade", b"trailer")


class BadResponse(Exception):
    """Bytes that are no HTTP response, or one larger than any of DynamoDB's."""


class Response(NamedTuple):
    """A whole response; `crc32` is the body's checksum as its header says, -1 without one."""

    status: int
    body: bytes
    crc32: int
    keep_alive: bool


class HeadPattern:
    """What the usual response of one server looks like."""

    __slots__ = ("_crc32", "_length", "_match")

    def __init__(self, pattern: bytes, length: int, crc32: int) -> None:
        self._match = re.compile(pattern).match
        self._length = length
        self._crc32 = crc32

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """The shape of a whole response that llhttp accepted, or None if it is a rare kind.

        Usual is a `200` that stays connected, with one Content-Length, at most one checksum and no
        transfer coding.
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

    def take(self, data: bytes) -> Response | None:
        """The response, if `data` is one of this shape, whole, and nothing else; otherwise None."""
        match = self._match(data)
        if match is None:
            return None
        body_at = match.end()
        if len(data) != body_at + int(match[self._length]):
            return None
        crc32 = int(match[self._crc32]) if self._crc32 else -1
        return Response(200, data[body_at:], crc32, True)


class Incoming:
    """One response as its bytes come in, in whatever pieces and framing.

    `feed` until `complete`; both it and `response` raise BadResponse.
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
        """Take in the next bytes; whether that was all."""
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
            raise BadResponse(f"headers of more than {HEAD_LIMIT} bytes")
        return self.complete

    def closed(self) -> bool:
        """Take in that the server closed; whether that ends the response.

        An error page without a length ends so. A `200` does not: it might have been cut short.
        """
        return self._in_body and self._status != 200

    def response(self) -> Response:
        """The response, once complete or ended by `closed`."""
        keep_alive = self.complete and self._keep_alive
        return Response(self._status, b"".join(self._body), self._crc32, keep_alive)

    # --- called by the parser

    def on_message_begin(self) -> None:
        """A second response in the same bytes is not ours."""
        if self.complete:
            raise BadResponse("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the checksum; refuse what would need decoding."""
        name = name.lower()
        if name == b"x-amz-crc32":
            if not value.isdigit() or len(value) > 10:
                raise BadResponse("an x-amz-crc32 that is no number")
            self._crc32 = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise BadResponse("a compressed answer that was not asked for")

    def on_headers_complete(self) -> None:
        """The body follows, unless this was an interim response."""
        self._status = int(self._parser.get_status_code())
        self._keep_alive = bool(self._parser.should_keep_alive())
        self._in_body = self._status >= 200

    def on_body(self, data: bytes) -> None:
        """Keep a piece, up to the limit."""
        self._size += len(data)
        if self._size > BODY_LIMIT:
            raise BadResponse(f"a body of more than {BODY_LIMIT} bytes")
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The last byte is here; a `100 Continue` is only a foreword."""
        self.complete = self._in_body
