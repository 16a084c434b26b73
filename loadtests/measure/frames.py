"""What passes between a load process and its scribe: a JSON header and raw nanosecond columns.

Frame: header length and payload length (two little-endian 32-bit numbers), header, payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import orjson

_LENGTHS: Final = struct.Struct("<II")


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame."""
    head = orjson.dumps(header)
    return _LENGTHS.pack(len(head), len(payload)) + head + payload


def unpack(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every whole frame until the stream ends; a frame cut short by a crash is left out."""
    while True:
        lengths = stream.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return
        head_length, payload_length = _LENGTHS.unpack(lengths)
        head = stream.read(head_length)
        payload = stream.read(payload_length)
        if len(head) < head_length or len(payload) < payload_length:
            return
        yield orjson.loads(head), payload
