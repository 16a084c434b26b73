"""Frames: what is packed is unpacked, whatever it was in pieces; a cut one is left out."""

from __future__ import annotations

import io
from array import array

from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.frames import pack, unpack

headers = st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53), max_size=4)
columns = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(lambda held: array("q", held))
payloads = st.lists(st.binary(max_size=50) | columns, max_size=5)


@given(st.lists(st.tuples(headers, payloads), max_size=4))
def test_what_goes_in_comes_out(frames):
    stream = io.BytesIO(b"".join(pack(header, *parts) for header, parts in frames))
    assert list(unpack(stream)) == [
        (header, b"".join(map(bytes, parts))) for header, parts in frames
    ]


@given(headers, payloads, st.data())
def test_a_frame_cut_short_is_left_out(header, parts, data):
    whole = bytes(pack({"first": 1}))
    frame = bytes(pack(header, *parts))
    cut = data.draw(st.integers(0, len(frame) - 1))
    assert list(unpack(io.BytesIO(whole + frame[:cut]))) == [({"first": 1}, b"")]
