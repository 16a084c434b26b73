from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.frames import pack, unpack
from loadtests.measure.recorder import Recorder


def frames(data: bytes) -> list[tuple[dict, bytes]]:
    return list(unpack(io.BytesIO(data)))


def columns(header: dict, payload: bytes) -> dict[str, list[list[int]]]:
    """Each series' three columns, by pattern and phase."""
    values = np.frombuffer(payload, np.int64).tolist()
    found = {}
    for series in header["series"]:
        found[series["pattern"], series["warm_up"]] = [
            [values.pop(0) for _ in range(size)] for size in series["sizes"]
        ]
    assert values == []
    return found


def test_a_call_is_three_times_in_nanoseconds():
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    series.record(intended_ns=1_000, began_ns=1_500, done_ns=9_001, wire_ns=7_000)
    series.record(intended_ns=2_000, began_ns=2_000, done_ns=2_000, wire_ns=0)
    [(header, payload)] = frames(recorder.drain())
    assert columns(header, payload) == {("cart.get", False): [[8_001, 0], [7_501, 0], [7_000, 0]]}
    [described] = header["series"]
    assert header["kind"] == "values"
    assert (described["backend"], described["driver"]) == ("dynamodb", "wire")


def test_a_series_is_made_once_and_kept_apart_by_phase():
    recorder = Recorder()
    one = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    assert recorder.series("dynamodb", "wire", "cart.get", warm_up=False) is one
    warm = recorder.series("dynamodb", "wire", "cart.get", warm_up=True)
    assert warm is not one
    warm.record(0, 0, 5, 3)
    one.record(0, 0, 7, 3)
    [(header, payload)] = frames(recorder.drain())
    assert columns(header, payload) == {
        ("cart.get", True): [[5], [5], [3]],
        ("cart.get", False): [[7], [7], [3]],
    }


def test_draining_forgets_everything_it_handed_over():
    recorder = Recorder()
    assert recorder.drain() == b""
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    assert recorder.drain() == b""
    series.record(0, 0, 5, 3)
    series.errors["CallTimeout"] += 1
    series.record_unfinished(np.array([9], np.int64))
    series.record_capacity(0.5, 0.0)
    assert recorder.drain()
    assert recorder.drain() == b""
    series.record(0, 0, 6, 4)
    [(header, payload)] = frames(recorder.drain())
    assert columns(header, payload) == {("cart.get", False): [[6], [6], [4]]}
    assert header["series"][0]["errors"] == {}
    assert header["series"][0]["unfinished"] == 0
    assert header["series"][0]["capacity"] == [0, 0.0, 0.0]


def test_unfinished_calls_have_a_response_time_alone():
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    series.record(0, 10, 50, 20)
    series.record_unfinished(np.array([1_000, 2_000], np.int64))
    [(header, payload)] = frames(recorder.drain())
    assert columns(header, payload) == {("cart.get", False): [[50, 1_000, 2_000], [40], [20]]}
    assert header["series"][0]["unfinished"] == 2


def test_errors_and_capacity_travel_even_without_a_call():
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=True)
    series.errors.update({"LineNotFound": 2, "Überlastet": 1})
    series.record_capacity(0.5, 1.0)
    series.record_capacity(1.5, 0.0)
    [(header, payload)] = frames(recorder.drain())
    [described] = header["series"]
    assert described["errors"] == {"LineNotFound": 2, "Überlastet": 1}
    assert described["capacity"] == [2, 2.0, 1.0]
    assert payload == b""


contents = st.tuples(
    st.dictionaries(st.text(max_size=5), st.integers(0, 1 << 40), max_size=3),
    st.binary(max_size=40),
)


@given(st.lists(contents, max_size=5))
def test_frames_are_unpacked_as_packed(sent):
    assert frames(b"".join(pack(*each) for each in sent)) == sent


@given(st.lists(contents, min_size=1, max_size=4), st.data())
def test_a_stream_cut_anywhere_keeps_every_whole_frame(sent, data):
    packed = [pack(*each) for each in sent]
    stream = b"".join(packed)
    cut = data.draw(st.integers(0, len(stream)))
    whole = sum(sum(map(len, packed[: i + 1])) <= cut for i in range(len(packed)))
    assert frames(stream[:cut]) == sent[:whole]
