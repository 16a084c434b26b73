"""Seconds wait until the meters have reported past them, and then tell disturbed calls apart."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.health.probes import HostFigures, HostProbe
from loadtests.measure.histogram import Sparse
from loadtests.measure.messages import RecordedCalls, SecondEnded, unpack
from loadtests.measure.recorder import Recorder
from loadtests.measure.results import read_run
from loadtests.measure.stalls.classifier import LATEST_NS, SecondClassifier
from loadtests.measure.stalls.record import StallRecord
from loadtests.measure.stalls.seconds import ClassifiedSecond
from loadtests.measure.stalls.windows import AFTER_NS, BEFORE_NS, Stall
from tests.measure.stalls.meters import ScriptedMeters
from tests.measure.streams import NO_HOST, ORIGIN_NS, closing, end, opening, scribe

MS = 1_000_000
S = 1_000 * MS
Calls = list[tuple[int, int]]  # intended start after the origin and response time, ns


class Run:
    """A classifier fed second by second."""

    def __init__(self, meters: ScriptedMeters, host_cpu: float | None = None) -> None:
        self.meters = meters
        host = HostProbe(NO_HOST, clock=lambda: 0.0)
        host.read = lambda: HostFigures(host_cpu=host_cpu)  # type: ignore[method-assign]
        self.now_ns = 0
        self.paused = 0
        self.classifier = SecondClassifier(
            host,
            StallRecord(meters),
            clock=lambda: self.now_ns,
            pause=self.pause,
        )

    def pause(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
        self.paused += 1

    def feed(self, index: int, calls: Calls) -> list[ClassifiedSecond]:
        frames = io.BytesIO(recorded(calls) + closing(index))
        for frame, payload in unpack(frames):
            if isinstance(frame, RecordedCalls):
                self.classifier.take_calls(frame, payload)
            elif isinstance(frame, SecondEnded):
                self.classifier.end_second(frame, payload)
        return list(self.classifier.classified())


def recorded(calls: Calls) -> bytes:
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    for after_ns, response_ns in calls:
        intended_ns = ORIGIN_NS + after_ns
        series.record(intended_ns, intended_ns, intended_ns + response_ns, -1)
    return recorder.drain()


def stall(after_ns: int, length_ns: int) -> Stall:
    return Stall(0, ORIGIN_NS + after_ns, ORIGIN_NS + after_ns, length_ns)


def undisturbed(second: ClassifiedSecond) -> Sparse:
    [part] = second.parts
    assert part.undisturbed
    return part.undisturbed["response_time"]


def test_a_second_waits_for_the_meters() -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S))
    run.meters.stalls = [stall(100 * MS, 5 * MS)]
    assert run.feed(0, [(50 * MS, 7 * MS), (101 * MS, 9 * MS)]) == []
    run.meters.known_until_ns = ORIGIN_NS + S + AFTER_NS
    [second] = run.classifier.classified()
    assert second.index == 0
    assert undisturbed(second) == Sparse.of(np.array([7 * MS]))
    [part] = second.parts
    assert part.counts["response_time"].total == 2
    assert part.counts["wire_time"].total == 0
    assert second.stalls
    [row] = second.stalls.rows
    assert row.start_s == pytest.approx(0.1)
    assert (row.length_ms, row.used) == (5.0, True)
    assert second.stalls.dead_s == pytest.approx((5 * MS + BEFORE_NS + AFTER_NS) / 1e9)


@pytest.mark.parametrize(("host_cpu", "excused"), [(0.94, True), (0.95, False), (None, True)])
def test_stalls_excuse_nothing_while_processes_use_every_cpu(
    host_cpu: float | None, excused: bool
) -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S), host_cpu)
    run.meters.stalls = [stall(100 * MS, 5 * MS)]
    run.feed(0, [(50 * MS, 7 * MS), (101 * MS, 9 * MS)])
    run.meters.known_until_ns = ORIGIN_NS + 2 * S
    [second] = run.classifier.classified()
    assert undisturbed(second).total == (1 if excused else 2)
    assert second.stalls
    assert [row.used for row in second.stalls.rows] == [excused]
    assert (second.stalls.dead_s > 0) is excused


calls = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 60)).map(lambda ms: (ms[0] * MS, ms[1] * MS)),
    max_size=40,
)


@given(calls, st.lists(st.tuples(st.integers(0, 999), st.integers(1, 30)), max_size=6))
def test_the_two_sets_are_those_of_the_definition_whatever_the_latencies(
    made: Calls, stalls_ms: list[tuple[int, int]]
) -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S))
    stalls = [stall(at * MS, length * MS) for at, length in stalls_ms]
    run.meters.stalls = list(stalls)
    run.feed(0, made)
    run.meters.known_until_ns = ORIGIN_NS + 2 * S
    [second] = run.classifier.classified()
    kept = [
        response_ns
        for after_ns, response_ns in made
        if not any(
            each.from_ns <= ORIGIN_NS + after_ns + AFTER_NS
            and each.end_ns >= ORIGIN_NS + after_ns - BEFORE_NS
            for each in stalls
        )
    ]
    if made:
        assert undisturbed(second) == Sparse.of(np.array(kept, np.int64))
        [part] = second.parts
        assert part.counts["response_time"] == Sparse.of(np.array([ns for _, ns in made], np.int64))


def test_without_meters_no_call_is_told_apart_and_no_second_waits() -> None:
    meters = ScriptedMeters(None, known_until_ns=0)
    meters.alive = False
    [second] = Run(meters).feed(0, [(50 * MS, 7 * MS)])
    assert second.stalls is None
    assert second.parts[0].undisturbed is None
    assert second.delays.undisturbed_dispatch is None


def test_meters_that_say_nothing_are_waited_for_two_seconds_and_excuse_nothing() -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S))
    seconds = [run.feed(index, [(index * S, 7 * MS)]) for index in range(LATEST_NS // S + 2)]
    assert [len(each) for each in seconds] == [0, 0, 0, 1]
    [second] = seconds[-1]
    assert undisturbed(second).total == 0
    assert second.stalls
    assert second.stalls.unclassified == 1
    assert second.stalls.dead_s == pytest.approx(1.0)


def test_at_the_end_the_last_second_waits_a_moment_for_the_meters() -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S))
    run.feed(0, [(50 * MS, 7 * MS)])
    read = run.meters.read

    def reads_on() -> list[Stall]:
        run.meters.known_until_ns += 400 * MS
        return read()

    run.meters.read = reads_on  # type: ignore[method-assign]
    seconds, rest = run.classifier.rest()
    assert undisturbed(seconds[0]).total == 1
    assert run.paused > 0
    assert rest == []


def test_at_the_end_meters_that_say_nothing_are_given_up() -> None:
    run = Run(ScriptedMeters(known_until_ns=ORIGIN_NS - S))
    run.feed(0, [(50 * MS, 7 * MS)])
    seconds, _ = run.classifier.rest()
    assert undisturbed(seconds[0]).total == 0
    assert run.now_ns >= 500 * MS


def test_the_run_folder_has_both_sets_and_the_stalls(tmp_path: Path) -> None:
    made = [(20 * MS, 3 * MS), (501 * MS, 40 * MS), (701 * MS, 4 * MS)]

    class StartsLate(ScriptedMeters):
        """Reports for the first time a second before the run begins, then past its end."""

        def read(self) -> list[Stall]:
            self.known_until_ns = ORIGIN_NS + (60 * S if self.known_until_ns else -S)
            return super().read()

    late = StartsLate(known_until_ns=0)
    late.stalls = [stall(500 * MS, 5 * MS), stall(700 * MS, MS * 6 // 10)]
    scribe(opening(tmp_path / "run") + recorded(made) + closing(0) + closing(1) + end(), late)
    run = read_run(tmp_path / "run")
    [series] = run.info.series
    assert series.count == 3
    assert series.undisturbed
    assert series.undisturbed.count == 2
    assert series.undisturbed.response_time_ms
    assert series.undisturbed.response_time_ms.max == pytest.approx(4.0, rel=1e-3)
    key = series.key("response_time")
    assert run.undisturbed
    assert [each.counts.total for each in run.intervals[key]] == [3]
    assert [each.counts.total for each in run.undisturbed[key]] == [2]
    stalls = run.info.stalls
    assert stalls
    assert (stalls.meter, stalls.stalls, stalls.used) == ("realtime", 2, 1)
    assert stalls.left_out == pytest.approx(1 / 3)
    assert stalls.dead_time == pytest.approx((5 * MS + BEFORE_NS + AFTER_NS) / (2 * S))
    lines = (tmp_path / "run/stalls.csv").read_text().splitlines()
    assert lines[1:] == [
        "generator,0,0.500000,5.000,realtime,1,5000500000000",
        "generator,0,0.700000,0.600,realtime,0,5000700000000",
    ]
