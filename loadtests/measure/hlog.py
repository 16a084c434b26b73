"""HdrHistogram interval logs (format 1.3), written and read line by line.

The hdrhistogram package writes no `Tag=` and a broken start time, so lines are made here; a test
reads them back with that package. Encoding: HdrHistogram V2, LEB128 zig-zag counts, zlib, base64
(https://github.com/HdrHistogram/HdrHistogram, `EncodableHistogram`, `HistogramLogWriter`).
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from loadtests.errors import ResultsError
from loadtests.measure.histogram import (
    HIGHEST_NS,
    LENGTH,
    LOWEST_NS,
    SIGNIFICANT_DIGITS,
    Sparse,
    highest_value_ns,
)
from loadtests.measure.stored_files import open_stored

_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED_COOKIE: Final = 0x1C849304 | 0x10
_HEADER: Final = struct.Struct(">iiiiqqd")
_OUTER: Final = struct.Struct(">ii")
_MAX_PLAIN: Final = _HEADER.size + 9 * LENGTH
_BATCH_LINES: Final = 256  # decoded at once
_BATCH_BYTES: Final = 1 << 20  # and of so much unpacked: decoding takes about 80 times as much
_LONGEST_LINE: Final = 1 << 20
_LONGEST_TAG: Final = 400
_MOST_CALLS: Final = 1 << 40  # in one bucket of one interval: sums stay exact
COLUMNS: Final = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of one series: seconds since the run's start, length in seconds, counts."""

    start_s: float
    length_s: float
    counts: Sparse


def header(started_at_s: float) -> str:
    """The log's first lines; `started_at_s` is Unix time."""
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {started_at_s:.3f} (seconds since epoch)]\n"
        f"{COLUMNS}\n"
    )


def format_line(tag: str, interval: Interval) -> str:
    """One log line with its newline; Interval_Max is in milliseconds, as other writers do."""
    highest = highest_value_ns(interval.counts.index[-1:])
    max_ms = float(highest[0]) / 1e6 if highest.size else 0.0
    start_s, length_s, body = interval.start_s, interval.length_s, encode(interval.counts)
    return f"Tag={tag},{start_s:.3f},{length_s:.3f},{max_ms:.3f},{body}\n"


def encode(counts: Sparse) -> str:
    """Base64 text of the V2 compressed encoding."""
    out = bytearray()
    position = 0
    for index, count in zip(counts.index.tolist(), counts.counts.tolist(), strict=True):
        if index > position:
            _put_leb128(out, 2 * (index - position) - 1)  # zig-zag of minus the gap
        _put_leb128(out, 2 * count)
        position = index + 1
    plain = _HEADER.pack(_COOKIE, len(out), 0, SIGNIFICANT_DIGITS, LOWEST_NS, HIGHEST_NS, 1.0) + out
    packed = zlib.compress(plain, 6)
    return base64.b64encode(_OUTER.pack(_COMPRESSED_COOKIE, len(packed)) + packed).decode()


def _put_leb128(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def decode(text: str) -> Sparse:
    """The counts in `text`. Raises ValueError for anything but this harness's layout."""
    return _decode_bodies([_unpack(text)])[0]


def _unpack(text: str) -> bytes:
    """The LEB128 counts in `text`. Raises ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
        cookie, length = _OUTER.unpack_from(raw)
        inflater = zlib.decompressobj()
        plain = inflater.decompress(raw[_OUTER.size :], _MAX_PLAIN)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(f"not a compressed histogram ({error})") from None
    if cookie != _COMPRESSED_COOKIE or length != len(raw) - _OUTER.size:
        raise ValueError("not a compressed histogram")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("histogram cut short or overlong")
    if len(plain) < _HEADER.size:
        raise ValueError("histogram cut short")
    cookie, length, offset, digits, lowest, highest, _ = _HEADER.unpack_from(plain)
    if (cookie, offset, digits, lowest, highest) != (
        _COOKIE,
        0,
        SIGNIFICANT_DIGITS,
        LOWEST_NS,
        HIGHEST_NS,
    ):
        raise ValueError("a histogram of another layout")
    body = plain[_HEADER.size :]
    if length != len(body):
        raise ValueError("histogram cut short")
    return body


def _decode_bodies(bodies: Sequence[bytes]) -> list[Sparse]:
    """Undo the encoding of many histograms in one pass. Raises ValueError if any is malformed.

    A body is a stream of LEB128 numbers, seven bits per byte, the lowest first; the high bit of a
    byte says that another follows. Zig-zag decoding gives a count when positive, and when negative
    the number of empty places to skip::

        bytes     0x06      0x85 0x01      0x02
        number    6         133            2
        zig-zag   +3        -67            +1
        meaning   3 calls   skip 67        1 call
        place     0                        68

    All bodies are concatenated; `edges` are where each begins, and `firsts` its first number.
    """
    body = np.frombuffer(b"".join(bodies), np.uint8)
    edges = np.cumsum([0, *map(len, bodies)])
    last = (body & 0x80) == 0
    if not last[[edge - 1 for each, edge in zip(bodies, edges[1:], strict=True) if each]].all():
        raise ValueError("malformed counts")
    ends = np.flatnonzero(last)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > 8:
        raise ValueError("malformed counts")
    starts = ends - lengths + 1
    position = np.arange(body.size) - np.repeat(starts, lengths)
    parts = (body & 0x7F).astype(np.int64) << (7 * position)
    zigzag = np.add.reduceat(parts, starts) if starts.size else parts
    value = (zigzag >> 1) ^ -(zigzag & 1)
    step = np.where(value < 0, -value, 1)
    firsts = np.searchsorted(ends, edges)  # each histogram's first value
    if step.max(initial=0) > LENGTH:
        raise ValueError("counts beyond the layout")
    reached = np.cumsum(np.concatenate(([0], step)))
    bases = reached[firsts]
    if np.diff(bases).max(initial=0) > LENGTH:
        raise ValueError("counts beyond the layout")
    index = reached[:-1] - np.repeat(bases[:-1], np.diff(firsts))
    occupied = value > 0
    bounds = np.cumsum(np.concatenate(([0], occupied)))[firsts].tolist()
    index, counts = index[occupied], value[occupied]
    return [Sparse(index[a:b], counts[a:b]) for a, b in pairwise(bounds)]


def read_log(path: Path) -> Iterator[tuple[str, Interval]]:
    """The tag and interval of every complete line; a last line cut short by a crash is left out.

    Raises ResultsError naming the file and line for anything else that cannot be read.
    """
    try:
        with open_stored(path) as file:
            yield from _read_lines(path, file)
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing.", hint="Is this a complete run folder?") from None
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error}.") from None


def _read_lines(path: Path, file: BinaryIO) -> Iterator[tuple[str, Interval]]:
    """Decode in batches, so that memory is bounded whatever the file holds."""
    batch: list[_Line] = []
    size = 0
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
        if not line.endswith(b"\n"):
            if len(line) == _LONGEST_LINE:
                raise _damaged(path, number, ValueError("a line without end"))
            break  # cut short by a crash
        text = line.rstrip(b"\r\n")  # a checkout of a baseline may have changed the line ends
        if not text or text.startswith((b"#", b'"')):
            continue
        try:
            batch.append(_line(number, text))
        except ValueError as error:
            raise _damaged(path, number, error) from None
        size += len(batch[-1].body)
        if len(batch) == _BATCH_LINES or size > _BATCH_BYTES:
            yield from _decode_batch(path, batch)
            batch, size = [], 0
    yield from _decode_batch(path, batch)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the log, its histogram unpacked but not yet decoded."""

    number: int
    tag: str
    start_s: float
    length_s: float
    body: bytes


def _decode_batch(path: Path, batch: Sequence[_Line]) -> Iterator[tuple[str, Interval]]:
    try:
        counts = _decode_bodies([line.body for line in batch])
    except ValueError:
        for line in batch:  # one by one, to name the first that is damaged
            try:
                _decode_bodies([line.body])
            except ValueError as error:
                raise _damaged(path, line.number, error) from None
        raise
    for line, each in zip(batch, counts, strict=True):
        if each.counts.max(initial=0) > _MOST_CALLS:
            raise _damaged(path, line.number, ValueError("a count that no run can reach"))
        yield line.tag, Interval(line.start_s, line.length_s, each)


def _damaged(path: Path, number: int, error: ValueError) -> ResultsError:
    return ResultsError(
        f"{path} line {number} is damaged: {error}.",
        hint="Take the run folder from its source again, or repeat the run.",
    )


def _line(number: int, content: bytes) -> _Line:
    """A line's parts. Raises ValueError."""
    if not content.isascii():
        raise ValueError("not ASCII text")
    fields = content.decode("ascii").split(",")
    if len(fields) != 5 or not fields[0].startswith("Tag="):
        raise ValueError("expected Tag=…, start, length, max, histogram")
    tag = fields[0][4:]
    if not tag.isprintable() or len(tag) > _LONGEST_TAG:
        raise ValueError("a tag that is no name")
    try:
        start_s, length_s = float(fields[1]), float(fields[2])
    except ValueError:
        raise ValueError("a time that is no number") from None
    if not (0 <= start_s < 1e9 and 0 <= length_s < 1e6):
        raise ValueError("a time out of range")
    return _Line(number, tag, start_s, length_s, _unpack(fields[4]))
