"""Requests from a byte stream, responses into one: the HTTP that DynamoDB's clients use."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

REQUEST_LIMIT: Final = 20 * 1024 * 1024  # DynamoDB takes 16 MB in a BatchWriteItem
_LENGTH: Final = b"\r\ncontent-length:"
_TARGET: Final = b"\r\nx-amz-target:"
_REASONS: Final = {200: b"OK", 400: b"Bad Request"}
_HEAD: Final = (
    b"HTTP/1.1 %d %b\r\n"
    b"Server: Server\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: keep-alive\r\n"
    b"x-amzn-RequestId: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEF\r\n"
    b"x-amz-crc32: %d\r\n\r\n%b"
)


class BadRequest(Exception):
    """Bytes that are not a request of a DynamoDB client; the connection cannot be used further."""


class Framed(NamedTuple):
    """One request, and where in the bytes it ended."""

    operation: str
    body: bytes
    end: int


def take_request(data: bytes) -> Framed | None:
    """The first request in `data`, or None while it is not complete. Raises BadRequest."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        if len(data) > 64 * 1024:
            raise BadRequest("the headers of a request exceed 64 KiB")
        return None
    head = data[: head_end + 2].lower()
    try:
        length = int(_field(head, _LENGTH))
    except ValueError:
        raise BadRequest("a request without a Content-Length") from None
    if not 0 <= length <= REQUEST_LIMIT:
        raise BadRequest(f"a request of {length} bytes")
    body_at = head_end + 4
    end = body_at + length
    if len(data) < end:
        return None
    at = head.find(_TARGET)
    if at < 0:
        raise BadRequest("a request without an X-Amz-Target")
    # from the original bytes, because the operation's name has capitals
    target = data[at + len(_TARGET) : data.find(b"\r", at + 2)]
    operation = target.rpartition(b".")[2].decode("ascii", "replace")
    return Framed(operation, data[body_at:end], end)


def _field(head: bytes, name: bytes) -> bytes:
    at = head.find(name)
    if at < 0:
        return b"-1"
    at += len(name)
    return head[at : head.find(b"\r", at)]


def frame_response(status: int, body: bytes) -> bytes:
    """A response with DynamoDB's own headers, its CRC32 among them."""
    return _HEAD % (status, _REASONS[status], len(body), zlib.crc32(body), body)
