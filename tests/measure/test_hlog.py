from __future__ import annotations

import base64
import struct
import tracemalloc
import zlib
from itertools import starmap
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.errors import ResultsError
from loadtests.measure import hlog
from loadtests.measure.histogram import (
    HIGHEST_NS,
    LENGTH,
    LOWEST_NS,
    SIGNIFICANT_DIGITS,
    Histogram,
    Sparse,
)
from loadtests.measure.hlog import Interval
from tests.measure.latencies import EDGES, latencies

STARTED_AT_S = 1_772_443_800.25
HEADER = struct.Struct(">iiiiqqd")
COOKIE, COMPRESSED_COOKIE = 0x1C849303 | 0x10, 0x1C849304 | 0x10
PLAIN_LIMIT = HEADER.size + 9 * LENGTH


def tagged(tag: str, start_s: float, length_s: float, counts: Sparse) -> tuple[str, hlog.Interval]:
    return tag, hlog.Interval(start_s, length_s, counts)


def sparse(values: list[int]) -> Sparse:
    return Sparse.of(np.array(values, np.int64))


@st.composite
def counts(draw: st.DrawFn, *, most: int = 1 << 54) -> Sparse:
    places = draw(st.dictionaries(st.integers(0, LENGTH - 1), st.integers(1, most), max_size=40))
    index = np.array(sorted(places), np.int64)
    return Sparse(index, np.array([places[i] for i in index.tolist()], np.int64))


# --- encode and decode


@given(counts())
def test_what_was_encoded_is_decoded(held: Sparse) -> None:
    assert hlog.decode(hlog.encode(held)) == held


@pytest.mark.parametrize(
    "held",
    [
        Sparse(np.zeros(0, np.int64), np.zeros(0, np.int64)),
        Sparse(np.array([0]), np.array([1])),
        Sparse(np.array([LENGTH - 1]), np.array([1])),
        Sparse(np.array([0, LENGTH - 1]), np.array([1 << 54, 1 << 54])),
        Sparse(np.arange(LENGTH), np.full(LENGTH, 1 << 50)),
        Sparse(np.arange(0, LENGTH, 2), np.full(LENGTH // 2, 127)),
    ],
    ids=["empty", "first", "last", "both ends", "every place", "every other place"],
)
def test_extreme_histograms_survive(held: Sparse) -> None:
    assert hlog.decode(hlog.encode(held)) == held


@settings(max_examples=50)
@given(st.lists(latencies(), min_size=1, max_size=40))
def test_the_hdrhistogram_package_decodes_what_is_encoded(values: list[int]) -> None:
    theirs = HdrHistogram.decode(hlog.encode(sparse(values)))
    again = Histogram()
    again.add(sparse(values))
    assert list(theirs.counts) == again.counts.tolist()
    assert theirs.get_total_count() == len(values)


@settings(max_examples=50)
@given(st.lists(latencies(), min_size=1, max_size=40))
def test_what_the_hdrhistogram_package_encodes_is_decoded(values: list[int]) -> None:
    theirs = HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for value in values:
        theirs.record_value(value)
    assert hlog.decode(theirs.encode().decode()) == sparse(values)


# --- hostile histograms


def pack(
    body: bytes = b"\x02",
    *,
    length: int | None = None,
    offset: int = 0,
    digits: int = SIGNIFICANT_DIGITS,
    lowest: int = LOWEST_NS,
    highest: int = HIGHEST_NS,
    cookie: int = COOKIE,
    outer_cookie: int = COMPRESSED_COOKIE,
    outer_length: int | None = None,
    after: bytes = b"",
) -> str:
    size = len(body) if length is None else length
    plain = HEADER.pack(cookie, size, offset, digits, lowest, highest, 1.0) + body
    packed = zlib.compress(plain) + after
    outer = len(packed) if outer_length is None else outer_length
    return base64.b64encode(struct.pack(">ii", outer_cookie, outer) + packed).decode()


def leb(*values: int) -> bytes:
    """ZigZag LEB128, in this test's own words: positive a count, negative a gap."""
    out = bytearray()
    for value in values:
        number = 2 * value if value >= 0 else -2 * value - 1
        while number > 127:
            out.append(number % 128 + 128)
            number //= 128
        out.append(number)
    return bytes(out)


def test_the_handmade_encoding_is_valid_before_it_is_spoilt() -> None:
    assert hlog.decode(pack()) == Sparse(np.array([0]), np.array([1]))
    gap = hlog.decode(pack(leb(-5, 300, -1000, 7)))
    assert gap == Sparse(np.array([5, 1006]), np.array([300, 7]))
    assert hlog.decode(pack(leb(3, 0, 0, 4))) == Sparse(np.array([0, 3]), np.array([3, 4]))
    assert hlog.decode(pack(b"")).total == 0


@pytest.mark.parametrize(
    "case",
    {
        "nothing": "",
        "not base64": "*" * 40,
        "not ASCII": "HISTé" * 10,
        "base64 of nothing much": base64.b64encode(b"abc").decode(),
        "wrong outer cookie": pack(outer_cookie=COMPRESSED_COOKIE + 1),
        "version 1 cookie": pack(outer_cookie=0x1C849302),
        "wrong inner cookie": pack(cookie=0x1C849301),
        "outer length too small": pack(outer_length=5),
        "outer length too large": pack(outer_length=1 << 30),
        "outer length negative": pack(outer_length=-1),
        "inner length too small": pack(length=0),
        "inner length too large": pack(length=1 << 30),
        "inner length negative": pack(length=-1),
        "shifted values": pack(offset=1),
        "two digits": pack(digits=2),
        "another lowest value": pack(lowest=1_000),
        "another highest value": pack(highest=HIGHEST_NS - 1),
        "data after the histogram": pack(after=b"more"),
        "a count that never ends": pack(b"\x80"),
        "an overlong count": pack(b"\x80" * 8 + b"\x01"),
        "a very overlong count": pack(b"\xff" * 5_000 + b"\x01"),
        "a gap beyond the layout": pack(leb(-LENGTH - 1, 1)),
        "a gap of 2^54": pack(leb(-(1 << 54), 1)),
        "gaps that add up beyond the layout": pack(leb(*[-LENGTH // 2] * 3, 1)),
        "one count too many": pack(b"\x02" * (LENGTH + 1)),
    }.items(),
    ids=lambda case: case[0],
)
def test_what_is_not_our_histogram_is_refused(case: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"histogram|counts|ASCII"):
        hlog.decode(case[1])


def test_the_layouts_whole_length_is_not_too_much() -> None:
    assert hlog.decode(pack(b"\x02" * LENGTH)).total == LENGTH
    assert hlog.decode(pack(leb(1 - LENGTH, 1))) == Sparse(np.array([LENGTH - 1]), np.array([1]))


@given(counts(most=2_000), st.data())
def test_cut_anywhere_it_is_refused(held: Sparse, data: st.DataObject) -> None:
    raw = base64.b64decode(hlog.encode(held))
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    with pytest.raises(ValueError, match=r"histogram|counts"):
        hlog.decode(base64.b64encode(cut).decode())


@given(counts(most=2_000), st.data())
def test_no_flipped_bit_goes_unnoticed(held: Sparse, data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(hlog.encode(held)))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    try:
        decoded = hlog.decode(base64.b64encode(bytes(raw)).decode())
    except ValueError:
        return
    assert decoded == held  # the compression's own hints (its level) carry no meaning


@given(st.binary(max_size=200))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    try:
        held = hlog.decode(pack(body))
    except ValueError:
        return
    assert ((held.index >= 0) & (held.index < LENGTH)).all()
    assert (held.counts > 0).all()
    assert (np.diff(held.index) > 0).all()
    Histogram().add(held)


@pytest.mark.parametrize("filler", [b"\x00", b"\x02", b"\x80", b"\x01"])
def test_a_zip_bomb_is_refused_without_being_unpacked(filler: bytes) -> None:
    bomb = zlib.compress(
        HEADER.pack(COOKIE, 1 << 28, 0, 3, 1, HIGHEST_NS, 1.0) + filler * (1 << 26)
    )
    text = base64.b64encode(struct.pack(">ii", COMPRESSED_COOKIE, len(bomb)) + bomb).decode()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="histogram"):
            hlog.decode(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * PLAIN_LIMIT + 4 * len(text)


# --- logs


def test_the_hdrhistogram_package_reads_the_log(tmp_path: Path) -> None:
    path = tmp_path / "latency.hlog"
    written = [
        tagged("dynamodb/wire/cart.get/response_time", 0.0, 1.0, sparse([2_000_000, 2_047])),
        tagged("postgres/psycopg/cart.add/wire_time", 1.001, 0.999, sparse(EDGES)),
        tagged("dynamodb/wire/cart.get/response_time", 7_261.25, 2.5, sparse([HIGHEST_NS] * 3)),
    ]
    path.write_text(hlog.header(STARTED_AT_S) + "".join(starmap(hlog.format_line, written)))
    reader = HistogramLogReader(str(path), HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS))
    try:
        for tag, interval in written:
            theirs = reader.get_next_interval_histogram()
            assert theirs.get_tag() == tag
            assert theirs.get_start_time_stamp() == pytest.approx(
                (STARTED_AT_S + interval.start_s) * 1e3, abs=0.5
            )
            length_ms = theirs.get_end_time_stamp() - theirs.get_start_time_stamp()
            assert length_ms == pytest.approx(interval.length_s * 1e3, abs=0.5)
            again = Histogram()
            again.add(interval.counts)
            assert list(theirs.counts) == again.counts.tolist()
        assert reader.get_next_interval_histogram() is None
        assert reader.get_start_time_sec() == STARTED_AT_S
    finally:
        reader.input_file.close()


def test_the_log_begins_as_the_format_says() -> None:
    assert hlog.header(STARTED_AT_S) == (
        "#[Histogram log format version 1.3]\n"
        "#[StartTime: 1772443800.250 (seconds since epoch)]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


def test_interval_max_is_in_milliseconds() -> None:
    text = hlog.format_line(*tagged("a/b/c/d", 0.0, 1.0, sparse([1_500, 2_000_000])))
    assert text.split(",")[:4] == ["Tag=a/b/c/d", "0.000", "1.000", "2.001"]
    assert hlog.format_line(*tagged("a/b/c/d", 0.0, 1.0, sparse([]))).split(",")[3] == "0.000"


lines = st.builds(
    tagged,
    st.sampled_from(["dynamodb/wire/cart.get/response_time", "a/b/c/d"]),
    st.integers(0, 10_000_000).map(lambda ms: ms / 1e3),
    st.integers(0, 100_000).map(lambda ms: ms / 1e3),
    counts(most=500),
)


@settings(max_examples=50)
@given(st.lists(lines, max_size=6))
def test_a_log_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, Interval]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "latency.hlog"
    path.write_text(hlog.header(STARTED_AT_S) + "".join(starmap(hlog.format_line, written)))
    assert list(hlog.read_log(path)) == written


@settings(max_examples=100)
@given(st.data())
def test_a_log_cut_anywhere_keeps_every_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "latency.hlog"
    written = [tagged("a/b/c/d", float(i), 1.0, sparse([i, 10**i])) for i in range(5)]
    text = hlog.header(STARTED_AT_S) + "".join(starmap(hlog.format_line, written))
    cut = data.draw(st.integers(0, len(text)))
    path.write_text(text[:cut])
    whole = max(0, text[:cut].count("\n") - 3)
    assert list(hlog.read_log(path)) == written[:whole]


GOOD = hlog.format_line(*tagged("a/b/c/d", 0.0, 1.0, sparse([5])))
BODY = hlog.encode(sparse([5]))


@pytest.mark.parametrize(
    "damaged",
    [
        f"0.000,1.000,0.000,{BODY}",
        f"Tag=a/b/c/d,0.000,1.000,{BODY}",
        f"Tag=a,b/c/d,0.000,1.000,0.000,{BODY}",
        f"Tag=a/b/c/d,soon,1.000,0.000,{BODY}",
        f"Tag=a/b/c/d,nan,1.000,0.000,{BODY}",
        f"Tag=a/b/c/d,-1,1.000,0.000,{BODY}",
        f"Tag=a/b/c/d,0.000,inf,0.000,{BODY}",
        f"Tag=a/b/c/d,0.000,1.000,0.000,{BODY[:-8]}",
        f"Tag=a/b/c/d,0.000,1.000,0.000,{BODY[:30]}AAAA{BODY[34:]}",
        "Tag=a/b/c/d,0.000,1.000,0.000,",
        "\0" * 64,
        f"Tag=a/b/ç/d,0.000,1.000,0.000,{BODY}",
        "rubbish",
    ],
)
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "latency.hlog"
    text = hlog.header(STARTED_AT_S) + GOOD + GOOD + damaged + "\n" + GOOD
    path.write_text(text, encoding="utf-8")
    read: list[tuple[str, hlog.Interval]] = []
    with pytest.raises(ResultsError, match="line 6 is damaged") as caught:
        read.extend(hlog.read_log(path))
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_the_first_of_many_damaged_lines_is_named_however_long_the_log(tmp_path: Path) -> None:
    path = tmp_path / "latency.hlog"
    written = [tagged("a/b/c/d", float(i), 1.0, sparse([i, 7 * i])) for i in range(700)]
    lines = list(starmap(hlog.format_line, written))
    path.write_text(hlog.header(STARTED_AT_S) + "".join(lines))
    assert list(hlog.read_log(path)) == written
    lines[599] = lines[600] = lines[600][:-9] + "\n"
    path.write_text(hlog.header(STARTED_AT_S) + "".join(lines))
    with pytest.raises(ResultsError, match="line 603 is damaged"):
        list(hlog.read_log(path))


@pytest.mark.parametrize("last", ["rubbish", "Tag=a/b/c/d,0.0", GOOD[:-1], "\xff\xfe", "\0" * 9])
def test_a_last_line_cut_short_is_left_out(tmp_path: Path, last: str) -> None:
    path = tmp_path / "latency.hlog"
    path.write_bytes((hlog.header(STARTED_AT_S) + GOOD).encode() + last.encode("latin-1"))
    assert len(list(hlog.read_log(path))) == 1


def test_comments_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "latency.hlog"
    path.write_text(hlog.header(STARTED_AT_S) + "\n# a note\n" + GOOD + "\n" + GOOD)
    assert len(list(hlog.read_log(path))) == 2


def test_a_log_that_is_missing_or_unreadable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"latency\.hlog is missing"):
        list(hlog.read_log(tmp_path / "latency.hlog"))
    with pytest.raises(ResultsError, match="cannot be read"):
        list(hlog.read_log(tmp_path))
