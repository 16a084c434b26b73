"""Frames and lines are read as they were sent; a worker's malformed second is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.health.probes import HealthRow
from loadtests.measure.histogram import Sparse
from loadtests.measure.messages import (
    EncodedPart,
    Frame,
    RecordedCalls,
    RunClock,
    RunEnded,
    WorkerInterval,
    WorkerLost,
    WorkerSecond,
    line,
    pack,
    parse_line,
    parse_worker_second,
    unpack,
)
from loadtests.measure.series import CapacityTotals, RawSeries, SeriesName, SeriesPart
from loadtests.patterns import METRICS
from tests.measure.streams import row

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
counts = st.integers(0, 1 << 40)
series = st.builds(
    RawSeries,
    backend=texts,
    driver=texts,
    pattern=texts,
    warm_up=st.booleans(),
    calls=counts,
    errors=st.dictionaries(texts, counts, max_size=3),
    unfinished=counts,
    capacity=st.none() | st.builds(CapacityTotals, calls=counts, rcu=st.floats(0, 1e9)),
)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(RecordedCalls, st.lists(series, max_size=3)),
    st.builds(WorkerInterval, texts),
    st.builds(WorkerLost, texts),
    st.builds(RunClock, origin=counts, end=counts),
    st.builds(RunEnded, st.sampled_from(["complete", "interrupted"])),
)
sent_frames = st.tuples(frames, st.binary(max_size=40))


def unpacked(data: bytes) -> list[tuple[Frame, bytes]]:
    return list(unpack(io.BytesIO(data)))


@given(st.lists(sent_frames, max_size=5))
def test_frames_are_unpacked_as_packed(sent: list[tuple[Frame, bytes]]) -> None:
    assert unpacked(b"".join(pack(*each) for each in sent)) == sent


@given(st.lists(sent_frames, min_size=1, max_size=4), st.data())
def test_a_stream_cut_anywhere_keeps_every_whole_frame(
    sent: list[tuple[Frame, bytes]], data: st.DataObject
) -> None:
    packed = [pack(*each) for each in sent]
    stream = b"".join(packed)
    cut = data.draw(st.integers(0, len(stream)))
    whole = sum(sum(map(len, packed[: i + 1])) <= cut for i in range(len(packed)))
    assert unpacked(stream[:cut]) == sent[:whole]


def test_a_line_has_a_kind_and_content() -> None:
    text = line("locust", [{"pattern": "cart.get"}])
    assert text.endswith("\n")
    assert parse_line(text.encode()) == ("locust", b'[{"pattern":"cart.get"}]')


# --- a worker's second


def part() -> SeriesPart:
    counts = {metric: Sparse.of(np.array([1_500, 2_000_000], np.int64)) for metric in METRICS}
    name = SeriesName("dynamodb", "wire", "cart.get")
    return SeriesPart(name, False, counts, {"CallTimeout": 1}, 2, CapacityTotals(1, 0.5, 1.0))


def second(worker: str = "worker 1") -> dict[str, Any]:
    """A healthy second of a worker as its scribe prints it."""
    sent = WorkerSecond(
        index=3,
        row=HealthRow(
            **row(worker),
            dispatch_delay_p50_ms=None,
            dispatch_delay_p99_ms=None,
            dispatch_delay_max_ms=None,
        ),
        parts=[EncodedPart.of(part())],
        dispatch_delay="",
        event_loop_delay="",
    )
    _, content = parse_line(line("interval", sent).encode())
    data: dict[str, Any] = json.loads(content)
    return data


def test_a_part_is_decoded_as_it_was_encoded() -> None:
    assert EncodedPart.of(part()).decode() == part()


def test_a_seconds_text_is_read_as_it_was_printed() -> None:
    read = parse_worker_second(json.dumps(second()).encode(), "worker 1")
    assert read.index == 3
    assert read.row.process_cpu == 0.3
    assert [each.decode() for each in read.parts] == [part()]


def set_row(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["row"].update({name: value})


def set_part(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["parts"][0].update({name: value})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("row"),
        lambda data: data.update(index=-1),
        lambda data: data.update(surprise=1),
        lambda data: data["row"].pop("process_cpu"),
        set_row("length_s", float("nan")),
        set_row("time_s", -1.0),
        set_row("process_cpu", float("inf")),
        set_row("offered", -1),
        set_row("warm_up", "perhaps"),
        set_row("worker", "worker 2"),
        set_part("backend", "dynamodb/wire"),
        set_part("pattern", "cart.get\n"),
        set_part("counts", {"response_time": 5}),
        set_part("counts", {"surprise_time": ""}),
        set_part("errors", {"CallTimeout": -1}),
        set_part("capacity", {"calls": -1, "rcu": 0.0, "wcu": 0.0}),
        set_part("capacity", {"calls": 1, "rcu": float("nan"), "wcu": 0.0}),
    ],
)
def test_a_malformed_second_is_refused(spoil: Callable[[dict[str, Any]], None]) -> None:
    data = second()
    spoil(data)
    with pytest.raises(ValueError, match=r"."):
        parse_worker_second(json.dumps(data).encode(), "worker 1")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff"])
def test_anything_but_a_second_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_worker_second(text, "worker 1")


@pytest.mark.parametrize("missing", METRICS)
def test_a_part_without_all_its_times_or_with_a_damaged_one_is_refused(missing: str) -> None:
    whole = EncodedPart.of(part())
    fewer = {metric: text for metric, text in whole.counts.items() if metric != missing}
    for counts in (fewer, whole.counts | {missing: "damaged"}):
        spoiled = EncodedPart(
            backend="dynamodb",
            driver="wire",
            pattern="cart.get",
            warm_up=False,
            counts=counts,  # type: ignore[arg-type]
        )
        with pytest.raises(ValueError, match=r"needs counts|histogram"):
            spoiled.decode()
