"""However calls are spread over workers, drains and seconds, the merged run is the same."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.measure.histogram import Sparse, highest_value_ns
from loadtests.measure.messages import WorkerLost, pack
from loadtests.measure.recorder import Recorder
from loadtests.measure.results import Key, RehearsalInfo, Run, read_run
from loadtests.measure.scribe import serve, together
from tests.known import known
from tests.measure.latencies import equivalent_range, latencies
from tests.measure.streams import (
    classifier,
    closing,
    end,
    live_lines,
    locust_lines,
    opening,
    relay,
    scribe,
)

NAMES = (
    ("dynamodb", "wire", "cart.get"),
    ("dynamodb", "wire", "cart.add"),
    ("postgres", "psycopg", "cart.get"),
)
METRICS = ("response_time", "service_time", "wire_time")


@dataclass(frozen=True)
class Call:
    """One call, the second and worker it falls to, and whether its recorder is drained after it."""

    name: tuple[str, str, str]
    warm_up: bool
    waited_ns: int
    service_ns: int
    wire_ns: int
    error: str
    rcu: int  # half units: their sums are exact
    unfinished: bool
    worker: int
    second: int
    drained: bool


SECONDS = 4
calls_strategy = st.lists(
    st.builds(
        Call,
        name=st.sampled_from(NAMES),
        warm_up=st.booleans(),
        waited_ns=latencies(),
        service_ns=latencies(),
        wire_ns=latencies(),
        error=st.sampled_from(["", "", "CallTimeout", "LineNotFound"]),
        rcu=st.integers(0, 3),
        unfinished=st.booleans(),
        worker=st.integers(0, 3),
        second=st.integers(0, SECONDS - 1),
        drained=st.booleans(),
    ),
    max_size=40,
)


def record(recorder: Recorder, call: Call) -> None:
    series = recorder.series(*call.name, warm_up=call.warm_up)
    if call.unfinished:
        series.record_unfinished(np.array([0], np.int64), now_ns=call.waited_ns)
        return
    done = call.waited_ns + call.service_ns
    series.record(0, call.waited_ns, done, call.wire_ns)
    if call.error:
        series.errors[call.error] += 1
    if call.rcu:
        series.record_capacity(call.rcu / 2, 1.0)


def stream(calls: Iterable[Call], source: str, closed: Iterable[int] = range(SECONDS)) -> bytes:
    """One process's frames: a second that is not closed flows into the next one that is."""
    recorder, out = Recorder(), b""
    calls = list(calls)
    begun = 0
    for index in closed:
        for call in calls:
            if begun <= call.second <= index:
                record(recorder, call)
                if call.drained:
                    out += recorder.drain()
        out += recorder.drain()
        out += closing(index, source, start_s=float(begun), length_s=float(index + 1 - begun))
        begun = index + 1
    return out


def in_turns(streams: list[list[bytes]], order: list[int]) -> bytes:
    """Each worker's frames in their own order, the workers' interleaved as `order` says."""
    waiting = [list(each) for each in streams]
    out = b""
    for turn in order:
        if waiting[turn % len(waiting)]:
            out += waiting[turn % len(waiting)].pop(0)
    return out + b"".join(b"".join(each) for each in waiting)


def merged(path: Path, calls: list[Call], closed: list[list[int]], order: list[int]) -> Run:
    """A cluster's run; worker i closes the seconds `closed[i]`."""
    workers = len(closed)
    names = [f"worker {i + 1}" for i in range(workers)]
    streams = [
        relay(stream((c for c in calls if c.worker % workers == i), name, closed[i]), name)
        for i, name in enumerate(names)
    ]
    scribe(opening(path, names) + in_turns(streams, order) + end())
    return read_run(path)


def alone(path: Path, calls: list[Call]) -> Run:
    scribe(opening(path) + stream(calls, "generator") + end())
    return read_run(path)


def contents(run: Run) -> dict[str, object]:
    """Everything a run folder holds of its calls."""
    return {
        "measured": {key.tag: value for key, value in run.intervals.items()},
        "warm_up": {key.tag: value for key, value in run.warm_up.items()},
        "series": run.info.series,
        "state": run.info.state,
        "duration_s": run.info.duration_s,
    }


def times(call: Call) -> dict[str, int]:
    if call.unfinished:
        return {"response_time": call.waited_ns}
    response = call.waited_ns + call.service_ns
    values = (response, call.service_ns, call.wire_ns)
    return dict(zip(METRICS, values, strict=True))


def check_against_the_calls(run: Run, calls: list[Call]) -> None:
    """The slow oracle: count every call by hand."""
    wanted: dict[bool, defaultdict[tuple[str, int], Counter[int]]] = {
        True: defaultdict(Counter),
        False: defaultdict(Counter),
    }
    for call in calls:
        for metric, value in times(call).items():
            tag = "/".join((*call.name, metric))
            wanted[call.warm_up][tag, call.second][equivalent_range(value)[1]] += 1
    for warm_up, intervals in ((False, run.intervals), (True, run.warm_up)):
        found = {
            (key.tag, round(each.start_s)): Counter(
                dict(
                    zip(
                        highest_value_ns(each.counts.index).tolist(),
                        each.counts.counts.tolist(),
                        strict=True,
                    )
                )
            )
            for key, parts in intervals.items()
            for each in parts
        }
        assert found == wanted[warm_up]
    for series in run.info.series:
        name = (series.backend, series.driver, series.pattern)
        ours = [c for c in calls if c.name == name and not c.warm_up]
        assert series.count == len(ours)
        finished = [c for c in ours if not c.unfinished]
        assert series.errors == Counter(c.error for c in finished if c.error)
        assert series.unfinished == len(ours) - len(finished)
        asked = [c.rcu for c in calls if c.name == name and not c.unfinished and c.rcu]
        assert (series.capacity is None) == (not asked)
        if asked:
            assert known(series.capacity).rcu_per_op == sum(asked) / 2 / len(asked)
            assert known(series.capacity).wcu_per_op == 1.0
        if ours:
            ranked = sorted(times(c)["response_time"] for c in ours)
            assert known(series.response_time_ms).max == equivalent_range(ranked[-1])[1] / 1e6
            middle = ranked[-(-len(ranked) // 2) - 1]
            assert known(series.response_time_ms).p50 == equivalent_range(middle)[1] / 1e6
    measured = {c.name for c in calls if not c.warm_up}
    assert {(s.backend, s.driver, s.pattern) for s in run.info.series} == measured


def one_call(worker: int = 0, second: int = 0, service_ns: int = 2_000_000) -> Call:
    return Call(NAMES[0], False, 0, service_ns, 1_000, "", 0, False, worker, second, False)


KEY = Key(*NAMES[0], "response_time")


EVERY = list(range(SECONDS))
orders = st.lists(st.integers(0, 3), max_size=24)


@settings(max_examples=40)
@given(calls_strategy, st.integers(1, 4), orders)
def test_any_number_of_workers_hold_what_one_recorder_holds(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call], workers: int, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    single = alone(folder / "single", calls)
    check_against_the_calls(single, calls)
    cluster = merged(folder / "cluster", calls, [EVERY] * workers, order)
    assert contents(cluster) == contents(single)


@settings(max_examples=20)
@given(
    calls_strategy,
    orders,
    st.lists(
        st.sets(st.integers(0, SECONDS - 2)).map(lambda s: sorted(s | {SECONDS - 1})),
        min_size=3,
        max_size=3,
    ),
)
def test_workers_that_sleep_through_seconds_lose_no_call(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[Call],
    order: list[int],
    closed: list[list[int]],
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    cluster = merged(folder / "cluster", calls, closed, order)
    single = alone(folder / "single", calls)
    assert cluster.info.series == single.info.series
    assert cluster.info.duration_s == SECONDS
    for key, parts in cluster.intervals.items():
        assert cluster.total(key).counts.tolist() == single.total(key).counts.tolist()
        ends = [round(part.start_s + part.length_s) - 1 for part in parts]
        assert set(ends) <= {second for worker in closed for second in worker}
    assert set(cluster.intervals) == set(single.intervals)
    # a process alone files its calls as a cluster of one does
    scribe(opening(folder / "sleepy") + stream(calls, "generator", closed[0]) + end())
    assert contents(read_run(folder / "sleepy")) == contents(
        merged(folder / "one", calls, [closed[0]], [])
    )


@settings(max_examples=25)
@given(calls_strategy, st.data())
def test_a_stream_cut_anywhere_is_an_interrupted_run_of_every_whole_frame(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    # each call in a frame of its own
    frames = [
        frame
        for second in range(SECONDS)
        for frame in [
            *(alone_in_a_frame(call) for call in calls if call.second == second),
            closing(second),
        ]
    ]
    sent = [opening(folder / "cut"), *frames, end()]
    first = len(sent[0])
    # after the opening, whose length depends on the folder's name
    cut = first + data.draw(st.integers(0, sum(map(len, sent[1:])) - 1))
    scribe(b"".join(sent)[:cut])
    run = read_run(folder / "cut")
    assert run.info.state == "interrupted"
    assert run.info.validity is not None
    received: list[Call] = []
    at = first
    in_order = [call for second in range(SECONDS) for call in calls if call.second == second]
    for frame in frames:
        at += len(frame)
        if at > cut:
            break
        if b'"kind":"calls"' in frame:
            received.append(in_order[len(received)])
    check_against_the_calls(run, received)


def alone_in_a_frame(call: Call) -> bytes:
    recorder = Recorder()
    record(recorder, call)
    return recorder.drain()


def test_the_folder_grows_with_the_run(tmp_path: Path) -> None:
    """Killed after any second, what was closed by then is on disk."""
    seen: list[tuple[int, int]] = []

    class LooksAtTheFolder(io.StringIO):
        def write(self, text: str) -> int:
            run = read_run(tmp_path / "run")
            seen.append((run.total(KEY).total, run.info.series[0].count))
            return super().write(text)

    frames = [stream([one_call(second=s)], "generator", [s]) for s in range(3)]
    sent = io.BytesIO(opening(tmp_path / "run") + b"".join(frames) + end())
    serve(sent, LooksAtTheFolder(), classifier())
    # each second has a line of live figures and one for Locust's tables
    assert seen == [(1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (3, 3), (3, 3)]


# --- single cases


def total(path: Path) -> int:
    return read_run(path).total(KEY).total


def test_a_part_that_comes_late_is_merged_all_the_same(tmp_path: Path) -> None:
    names = ["worker 1", "worker 2"]
    first = relay(stream([one_call(second=s) for s in range(3)], "worker 1", range(3)))
    second = relay(stream([one_call(second=s) for s in range(3)], "worker 2", range(3)), "worker 2")
    # worker 2's first two seconds arrive after its third
    sent = [*first, second[2], second[0], second[1]]
    said = scribe(opening(tmp_path / "run", names) + b"".join(sent) + end())
    assert total(tmp_path / "run") == 6
    assert len(live_lines(said)) == 5
    by_second = Counter(round(i.start_s) for i in read_run(tmp_path / "run").intervals[KEY])
    assert by_second == {0: 2, 1: 2, 2: 1}


def test_an_interval_waits_for_every_source(tmp_path: Path) -> None:
    names = ["worker 1", "worker 2"]
    first = relay(stream([one_call(second=s) for s in range(2)], "worker 1", range(2)))
    [second] = relay(stream([one_call(second=0)], "worker 2", [0]), "worker 2")
    scribe(opening(tmp_path / "run", names) + b"".join([*first, second]))
    intervals = read_run(tmp_path / "run").intervals[KEY]
    assert [(i.start_s, i.counts.total) for i in intervals] == [(0.0, 2), (1.0, 1)]


def lose(worker: str) -> bytes:
    return pack(WorkerLost(worker))


def test_a_lost_worker_is_no_longer_waited_for_and_makes_the_run_invalid(tmp_path: Path) -> None:
    names = ["worker 1", "worker 2"]
    first = relay(stream([one_call(second=s) for s in range(4)], "worker 1", range(4)))
    second = relay(stream([one_call(second=s) for s in range(4)], "worker 2", range(4)), "worker 2")
    sent = [second[0], first[0], first[1], lose("worker 2"), first[2], second[1]]
    sent += [first[3], second[3]]
    said = scribe(opening(tmp_path / "run", names) + b"".join(sent) + end())
    # heard from once more, it is still not waited for
    assert [figures.index for figures in live_lines(said)] == [0, 1, 2, 1, 3, 3]
    run = read_run(tmp_path / "run")
    assert total(tmp_path / "run") == 7
    assert not known(run.info.validity).valid
    assert [r.found for r in known(run.info.validity).reasons] == ["worker 2 stopped reporting."]


def test_spans_of_workers_that_differ_are_covered_whole(tmp_path: Path) -> None:
    names = ["worker 1", "worker 2"]
    frames = []
    for name, start_s, length_s in (("worker 1", 0.0, 1.25), ("worker 2", 0.5, 1.0)):
        recorder = Recorder()
        record(recorder, one_call())
        frames += relay(
            recorder.drain() + closing(0, name, start_s=start_s, length_s=length_s), name
        )
    scribe(opening(tmp_path / "run", names) + b"".join(frames) + end())
    [interval] = read_run(tmp_path / "run").intervals[KEY]
    assert (interval.start_s, interval.length_s) == (0.0, 1.5)
    assert interval.counts.total == 2


def test_a_run_without_any_call_is_written_and_invalid(tmp_path: Path) -> None:
    scribe(opening(tmp_path / "run") + end())
    run = read_run(tmp_path / "run")
    assert run.info.state == "complete"
    assert run.info.series == []
    assert not known(run.info.validity).valid


def test_lines_for_the_user_show_the_last_second_and_the_whole(tmp_path: Path) -> None:
    calls = [one_call(second=0)] * 3 + [one_call(second=1, service_ns=9_000_000)]
    said = scribe(opening(tmp_path / "run") + stream(calls, "generator", range(2)) + end())
    assert [kind for kind, _ in said] == ["live", "locust", "live", "locust", "ended"]
    first, second = live_lines(said)
    assert first.last_second[0].rate_per_s == 3.0
    assert second.last_second[0].rate_per_s == 1.0
    assert second.last_second[0].p50_ms == highest(9_000_000)
    assert second.series[0].count == 4
    assert [entry["count"] for entries in locust_lines(said) for entry in entries] == [3, 1]


def highest(value_ns: int) -> float:
    return float(highest_value_ns(Sparse.of(np.array([value_ns])).index)[0]) / 1e6


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        scribe(opening(tmp_path / name) + end())
        assert (tmp_path / "latest").resolve() == (tmp_path / name).resolve()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_the_rehearsals_of_workers_are_added() -> None:
    first = RehearsalInfo(calls={"dynamodb": 10, "postgres": 2}, seconds=3.0)
    second = RehearsalInfo(calls={"dynamodb": 11}, seconds=4.0)
    assert together(None, first) == first
    assert together(first, second) == RehearsalInfo(
        calls={"dynamodb": 21, "postgres": 2}, seconds=4.0
    )
