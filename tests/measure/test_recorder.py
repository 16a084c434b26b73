from __future__ import annotations

import io

import numpy as np

from loadtests.measure.messages import RecordedCalls, unpack
from loadtests.measure.recorder import Recorder
from loadtests.measure.series import CapacityTotals, RawSeries


def drained(recorder: Recorder) -> tuple[list[RawSeries], bytes]:
    """The series and the payload of a recorder's next frame."""
    [(frame, payload)] = unpack(io.BytesIO(recorder.drain()))
    assert isinstance(frame, RecordedCalls)
    return frame.series, payload


def columns(series: list[RawSeries], payload: bytes) -> dict[tuple[str, bool], list[list[int]]]:
    """Each series' four columns, by pattern and phase."""
    values = np.frombuffer(payload, np.int64).tolist()
    by_name = {
        (each["pattern"], each["warm_up"]): [
            [values.pop(0) for _ in range(each["calls"])] for _ in range(4)
        ]
        for each in series
    }
    assert values == []
    return by_name


def test_a_call_is_its_intended_start_and_three_times_in_nanoseconds() -> None:
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    series.record(intended_ns=1_000, began_ns=1_500, done_ns=9_001, wire_ns=7_000)
    series.record(intended_ns=2_000, began_ns=2_000, done_ns=2_000, wire_ns=0)
    series_sent, payload = drained(recorder)
    assert columns(series_sent, payload) == {
        ("cart.get", False): [[1_000, 2_000], [8_001, 0], [7_501, 0], [7_000, 0]]
    }
    [described] = series_sent
    assert (described["backend"], described["driver"]) == ("dynamodb", "wire")


def test_a_series_is_made_once_and_kept_apart_by_phase() -> None:
    recorder = Recorder()
    measured = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    assert recorder.series("dynamodb", "wire", "cart.get", warm_up=False) is measured
    warm = recorder.series("dynamodb", "wire", "cart.get", warm_up=True)
    assert warm is not measured
    warm.record(0, 0, 5, 3)
    measured.record(0, 0, 7, 3)
    series_sent, payload = drained(recorder)
    assert columns(series_sent, payload) == {
        ("cart.get", True): [[0], [5], [5], [3]],
        ("cart.get", False): [[0], [7], [7], [3]],
    }


def test_draining_forgets_everything_it_handed_over() -> None:
    recorder = Recorder()
    assert recorder.drain() == b""
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    assert recorder.drain() == b""
    series.record(0, 0, 5, 3)
    series.errors["CallTimeout"] += 1
    series.record_unfinished(np.array([1], np.int64), now_ns=10)
    series.record_capacity(0.5, 0.0)
    assert recorder.drain()
    assert recorder.drain() == b""
    series.record(0, 0, 6, 4)
    series_sent, payload = drained(recorder)
    assert columns(series_sent, payload) == {("cart.get", False): [[0], [6], [6], [4]]}
    assert series_sent[0]["errors"] == {}
    assert series_sent[0]["unfinished"] == 0
    assert series_sent[0]["capacity"] is None


def test_unfinished_calls_have_a_response_time_alone() -> None:
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    series.record(0, 10, 50, 20)
    series.record_unfinished(np.array([9_000, 8_000], np.int64), now_ns=10_000)
    series_sent, payload = drained(recorder)
    assert columns(series_sent, payload) == {
        ("cart.get", False): [[0, 9_000, 8_000], [50, 1_000, 2_000], [40, -1, -1], [20, -1, -1]]
    }
    assert series_sent[0]["unfinished"] == 2


def test_errors_and_capacity_travel_even_without_a_call() -> None:
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=True)
    series.errors.update({"LineNotFound": 2, "Überlastet": 1})
    series.record_capacity(0.5, 1.0)
    series.record_capacity(1.5, 0.0)
    series_sent, payload = drained(recorder)
    [described] = series_sent
    assert described["errors"] == {"LineNotFound": 2, "Überlastet": 1}
    assert described["capacity"] == CapacityTotals(2, 2.0, 1.0)
    assert payload == b""
