from __future__ import annotations

import csv
import gc
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.load.loop import run as run_module
from loadtests.load.loop.dispatcher import ArrivalDispatcher
from loadtests.load.loop.run import (
    DRAIN_S,
    LEAD_NS,
    REHEARSAL_DRAIN_NS,
    CallerGroup,
    LoadRun,
    Rehearsal,
)
from loadtests.measure.health.accounts import ARRIVALS_RULE, SECONDS_RULE, folder_reasons
from loadtests.measure.histogram import highest_value_ns
from loadtests.measure.messages import Frame, RecordedCalls, SecondEnded, pack, unpack
from loadtests.measure.recorder import SeriesRecorder
from loadtests.measure.results import RehearsalInfo, read_run
from tests.known import known
from tests.load.clockwork import MS, Clockwork, S
from tests.measure.latencies import equivalent_range
from tests.measure.streams import end as end_frame
from tests.measure.streams import opening, scribe

BEGIN = 5 * S
ORIGIN = BEGIN + LEAD_NS
PATTERNS = ("cart.get", "cart.add")


class Scribe:
    """Keeps every frame."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, frame: Frame, payload: bytes = b"") -> None:
        self.send_packed(pack(frame, payload))

    def send_packed(self, frame: bytes) -> None:
        self.sent += frame

    def flush(self) -> None:
        pass

    def seconds(self) -> list[tuple[SecondEnded, bytes]]:
        """The frames that end a second, and their payloads."""
        return [(f, p) for f, p in unpack(io.BytesIO(self.sent)) if isinstance(f, SecondEnded)]

    def calls(self) -> list[tuple[RecordedCalls, bytes]]:
        """The frames of recorded calls, and their payloads."""
        return [(f, p) for f, p in unpack(io.BytesIO(self.sent)) if isinstance(f, RecordedCalls)]


@dataclass(eq=False)
class User:
    """What `LoadRun` knows of a Locust user, and a life like its own."""

    intended_ns: int = 0
    series: SeriesRecorder = field(init=False)  # set with the first call
    recorded: bool = False


class Passed(BaseException):
    pass


class FakeGevent:
    """`gevent.sleep` and `gevent.Timeout` on the clockwork."""

    def __init__(self, world: Clockwork) -> None:
        self._world = world
        self._deadline_ns: int | None = None

    def sleep(self, seconds: float) -> None:
        self._world.settle()
        wake_ns = self._world.now_ns + int(seconds * S)
        if self._deadline_ns is not None and wake_ns >= self._deadline_ns:
            self._world.run_to(self._deadline_ns)
            raise Passed
        self._world.run_to(wake_ns)

    def Timeout(self, seconds: float, exception: bool) -> FakeGevent:
        assert exception is False
        self._deadline_ns = self._world.now_ns + int(seconds * S)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._deadline_ns = None
        return kind is Passed


Dispatcher = tuple[Sequence[float], int, Sequence[float]]


class Staged:
    """A run of dispatchers with users, on the clockwork."""

    def __init__(
        self,
        dispatchers: list[Dispatcher],
        *,
        warm_up_s: float = 0.0,
        patterns: Iterable[str] = PATTERNS,
        sample_delays: bool = True,
        begin: bool = True,
    ) -> None:
        """Each dispatcher: arrivals in ms from the origin, users, ms that its k-th call takes."""
        self.world = Clockwork(BEGIN)
        self.scribe = Scribe()
        self.run = LoadRun(
            scribe=self.scribe,
            worker="generator",
            warm_up_s=warm_up_s,
            clock=self.world.clock,
            timer=self.world.timer,
            sample_delays=sample_delays,
            hand_over=lambda: None,
        )
        self.taken: list[int] = []
        self.finished: list[tuple[int, int]] = []  # intended start and response time, ns
        self.greenlets = []
        for number, (due_ms, users, service_ms) in enumerate(dispatchers):
            chunk = np.array([int(at * MS) for at in due_ms], np.int64)
            dispatcher = ArrivalDispatcher(
                iter([chunk]), clock=self.world.clock, timer=self.world.timer
            )
            names = ("dynamodb", "postgres")[number], ("wire", "psycopg")[number]
            pairs = [
                (
                    self.run.recorder.series(*names, pattern, warm_up=True),
                    self.run.recorder.series(*names, pattern, warm_up=False),
                )
                for pattern in patterns
            ]
            group = self.run.add_dispatcher(dispatcher, pairs)
            for _ in range(users):
                user = User()
                group.users.append(user)
                self.greenlets.append(gevent.spawn(self._live, user, group, service_ms))
        self.world.settle()
        if begin:
            self.run.begin()

    def _live(self, user: User, group: CallerGroup, service_ms: Sequence[float]) -> None:
        while True:
            user.intended_ns = intended = group.dispatcher.take()
            call = len(self.taken)
            self.taken.append(intended)
            pair = group.pairs[call % len(group.pairs)]
            user.series = pair[intended >= self.run.measure_from_ns]
            began = self.world.now_ns
            self.world.sleep(int(service_ms[call % len(service_ms)] * MS))
            done = self.world.now_ns
            user.series.record(intended, began, done, (done - began) // 2)
            self.finished.append((intended, done - intended))
            user.intended_ns = 0

    def run_to(self, at_ms: float) -> None:
        self.world.run_to(ORIGIN + int(at_ms * MS))

    def stall_to(self, at_ms: float) -> None:
        self.world.stall_to(ORIGIN + int(at_ms * MS))

    def finish(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module, "gevent", FakeGevent(self.world))
            self.run.finish()

    def rehearse(self, rehearsal: Rehearsal) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_module, "gevent", FakeGevent(self.world))
            return self.run.rehearse(rehearsal)

    def close(self) -> None:
        gevent.killall(self.greenlets)
        if self.run.state == "running":
            self.run._probe.close()

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(frame.second) | asdict(frame.process) for frame, _ in self.scribe.seconds()]

    def delays(self) -> list[tuple[list[int], list[int]]]:
        """Each second's dispatch delays and event-loop delays, ns."""
        delays = []
        for frame, payload in self.scribe.seconds():
            values = np.frombuffer(payload, np.int64).tolist()
            dispatched, sampled = frame.dispatch_delays, 2 * frame.dispatch_delays
            event_loop = values[sampled:]
            delays.append((values[dispatched:sampled], event_loop[len(event_loop) // 2 :]))
        return delays

    def unfinished(self) -> dict[tuple[str, bool], list[float]]:
        """Ages in ms by pattern and phase, as drained last."""
        frame, payload = self.scribe.calls()[-1]
        values = np.frombuffer(payload, np.int64)
        ages_by_series: dict[tuple[str, bool], list[float]] = {}
        at = 0
        for series in frame.series:
            count = series["calls"]
            if series["unfinished"]:
                ages = values[at + count : at + 2 * count][-series["unfinished"] :]
                ages_by_series[series["pattern"], series["warm_up"]] = (ages / MS).tolist()
            at += 4 * count
        return ages_by_series


@pytest.fixture
def staged() -> Iterator[Stage]:
    runs: list[Staged] = []

    def make(dispatchers: list[Dispatcher], **keywords: Any) -> Staged:
        runs.append(Staged(dispatchers, **keywords))
        return runs[-1]

    yield make
    for each in runs:
        each.close()


Stage = Callable[..., Staged]


def test_calls_unfinished_at_the_end_count_at_their_age(staged: Stage) -> None:
    here = staged([([10, 20, 30, 40], 2, [60_000])], patterns=["cart.get"])
    here.run_to(100)
    here.finish()
    # drained for two seconds: two calls are out, two arrivals never found a user
    assert here.world.now_ns == ORIGIN + 100 * MS + int(DRAIN_S * S)
    [(series, ages)] = here.unfinished().items()
    assert series == ("cart.get", False)
    assert sorted(ages) == [2_060, 2_070, 2_080, 2_090]
    assert here.finished == []
    assert here.run.state == "finished"


def test_waiting_calls_are_shared_out_evenly_over_patterns_and_by_phase(staged: Stage) -> None:
    here = staged([([10, 20, 30, 40, 50, 60], 0, [1])], warm_up_s=0.035)
    here.run_to(100)
    here.finish()
    assert here.unfinished() == {
        ("cart.get", True): [2_090, 2_070],
        ("cart.add", True): [2_080],
        ("cart.get", False): [2_050],
        ("cart.add", False): [2_060, 2_040],
    }


def test_calls_that_end_within_the_drain_are_finished_calls(staged: Stage) -> None:
    here = staged([([10, 20, 90], 1, [100])])
    here.run_to(100)
    here.finish()
    assert [response / MS for _, response in here.finished] == [100, 190, 220]
    # over as soon as the last call is, not after the whole drain
    assert here.world.now_ns <= ORIGIN + 320 * MS
    assert sum(s["unfinished"] for f, _ in here.scribe.calls() for s in f.series) == 0


def test_no_arrival_after_the_end_is_offered(staged: Stage) -> None:
    here = staged([([10, 500, 2_000], 1, [1])])
    here.run_to(100)
    here.finish()
    assert here.taken == [ORIGIN + 10 * MS]


def test_a_call_whose_intended_start_was_warm_up_is_warm_up_however_late_it_ends(
    staged: Stage,
) -> None:
    here = staged([([990, 999, 1_000, 1_001], 1, [20])], warm_up_s=1.0, patterns=["cart.get"])
    here.run_to(1_500)
    sizes: Counter[bool] = Counter()
    here.finish()
    for frame, _ in here.scribe.calls():
        for series in frame.series:
            sizes[series["warm_up"]] += series["calls"]
    assert sizes == {True: 2, False: 2}


def test_each_second_is_described(staged: Stage) -> None:
    here = staged([([100, 200, 300, 1_900], 1, [450])], warm_up_s=1.0)
    here.run_to(3_000)
    first, second, third = here.rows()
    assert [row["time_s"] for row in (first, second, third)] == [0, 1, 2]
    assert [row["length_s"] for row in (first, second, third)] == [1, 1, 1]
    assert [row["warm_up"] for row in (first, second, third)] == [True, False, False]
    assert [row["offered"] for row in (first, second, third)] == [2, 2, 0]
    assert [row["queued"] for row in (first, second, third)] == [1, 1, 0]
    assert first["behind_ms"] == 700  # the arrival of 300 ms, at 1,000 ms
    assert [row["in_flight"] for row in (first, second, third)] == [1, 1, 0]
    assert [row["free_users_min"] for row in (first, second, third)] == [0, 0, 0]
    assert {row["users"] for row in here.rows()} == {1}
    assert [late for late, _ in here.delays()] == [[0], [0], []]


def test_invalid_responses_are_counted_by_the_second(staged: Stage) -> None:
    here = staged([([], 1, [1])])
    here.run_to(500)
    here.run.invalid_responses += 2
    here.run_to(2_000)
    assert [row["invalid_responses"] for row in here.rows()] == [2, 0]


def closes(here: Staged) -> list[tuple[int, float, float]]:
    return [
        (frame.index, frame.second.time_s, frame.second.time_s + frame.second.length_s)
        for frame, _ in here.scribe.seconds()
    ]


def test_seconds_are_numbered_by_the_timetable(staged: Stage) -> None:
    here = staged([([], 1, [1])])
    here.run_to(2_350)
    here.finish()
    assert closes(here) == [(0, 0, 1), (1, 1, 2), (2, 2, 2.35)]


def test_after_a_standstill_no_number_comes_twice(staged: Stage) -> None:
    here = staged([([], 1, [1])])
    here.run_to(980)
    here.stall_to(2_510)
    here.run_to(4_000)
    here.finish()
    assert closes(here) == [(1, 0, 2.51), (2, 2.51, 3), (3, 3, 4), (4, 4, 4)]


def test_a_standstill_reaching_into_the_measured_part_is_not_warm_up(staged: Stage) -> None:
    here = staged([([], 1, [1])], warm_up_s=2.0)
    here.run_to(1_900)
    here.stall_to(3_400)
    here.run_to(5_000)
    rows = here.rows()
    assert [(r["time_s"], r["warm_up"]) for r in rows] == [
        (0, True),
        (1, False),
        (3.4, False),
        (4, False),
    ]
    assert rows[1]["event_loop_stall_ms"] == pytest.approx(1_480 - 5)


def test_a_run_finished_before_its_first_moment_is_empty_and_readable(
    staged: Stage, tmp_path: Path
) -> None:
    here = staged([([10], 1, [1])])
    here.finish()
    [(index, start_s, end_s)] = closes(here)
    assert (index, start_s, end_s) == (0, 0, 0)
    scribe(opening(tmp_path / "run") + here.scribe.sent + end_frame())
    assert not known(read_run(tmp_path / "run").info.validity).valid


def test_finishing_twice_or_before_the_start_does_nothing_more(staged: Stage) -> None:
    here = staged([([10], 1, [1])])
    here.run_to(50)
    here.finish()
    sent = here.scribe.sent
    here.finish()
    assert here.scribe.sent == sent
    world, sink = Clockwork(), Scribe()
    never = LoadRun(scribe=sink, worker="w", warm_up_s=1, clock=world.clock, timer=world.timer)
    never.finish()
    assert (never.state, sink.sent) == ("new", b"")
    assert world.timers[0].closed == 1  # nothing is left ticking


def test_finishing_leaves_no_timer_and_no_callback_behind(staged: Stage) -> None:
    before = list(gc.callbacks)
    here = staged([([10], 1, [1])])
    here.run_to(1_500)
    assert len(gc.callbacks) == len(before) + 1
    here.finish()
    assert gc.callbacks == before
    assert all(timer.at_ns is None for timer in here.world.timers)
    assert gc.get_freeze_count() == 0


# --- everything together: the run folder holds every arrival exactly once


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 4_000), max_size=40).map(sorted),
    st.lists(st.integers(0, 4_000), max_size=40).map(sorted),
    st.integers(0, 3),
    st.lists(st.sampled_from([0.5, 3.25, 40.5, 700.5, 5_000.5]), min_size=7, max_size=7),
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 2_500)), max_size=3),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.integers(0, 1_500),
)
def test_the_run_folder_holds_every_arrival_once(
    tmp_path_factory: pytest.TempPathFactory,
    due: list[int],
    also_due: list[int],
    users: int,
    service_ms: list[float],
    stalls: list[tuple[int, int]],
    warm_up_s: float,
    rest_ms: int,
) -> None:
    here = Staged([(due, users, service_ms), (also_due, 2, service_ms)], warm_up_s=warm_up_s)
    try:
        at = 0
        for runs, stalled in stalls:
            here.run_to(at + runs)
            at += runs + stalled
            here.stall_to(at)
        at += rest_ms
        here.run_to(at)
        here.finish()
        closed_ns = here.world.now_ns
        path = tmp_path_factory.mktemp("run") / "run"
        scribe(opening(path) + here.scribe.sent + end_frame(), account=False)
        check_account(path, sorted(due + also_due), at, warm_up_s)
        check_folder(here, path, sorted(due + also_due), at, closed_ns, warm_up_s)
    finally:
        here.close()


def check_account(path: Path, due: list[int], at: float, warm_up_s: float) -> None:
    """The schedule's count and the calls agree, and no second is missing."""
    info = read_run(path).info
    scheduled = sum(warm_up_s * 1e3 <= each <= at for each in due)
    with (path / "health.csv").open(newline="") as file:
        assert sum(int(row["scheduled"]) for row in csv.DictReader(file)) == scheduled
    broken = {reason.rule for reason in known(info.validity).reasons}
    assert not broken & {ARRIVALS_RULE, SECONDS_RULE}
    assert folder_reasons(path, info) == []


def test_an_arrival_that_is_in_no_figure_rules_out_every_verdict(
    staged: Stage, tmp_path: Path
) -> None:
    here = staged([([10, 20, 30, 1_500], 2, [60_000])], patterns=["cart.get"])
    here.run_to(2_000)
    gevent.kill(here.greenlets[0])  # in a call, which nobody counts with its age
    del here.run.groups[0].users[0]
    here.finish()
    path = tmp_path / "run"
    scribe(opening(path) + here.scribe.sent + end_frame(), account=False)
    [reason] = [r for r in known(read_run(path).info.validity).reasons if r.rule == ARRIVALS_RULE]
    assert reason.rules_out == "every verdict"
    assert reason.found == (
        "generator: 1 of 4 arrivals on dynamodb/wire are neither a completed nor an unfinished"
        " call."
    )


def test_an_arrival_given_out_ahead_of_the_end_is_scheduled(tmp_path: Path) -> None:
    world, sink = Clockwork(BEGIN), Scribe()
    run = LoadRun(
        scribe=sink, worker="generator", warm_up_s=0, clock=world.clock, timer=world.timer
    )
    schedule = iter([np.array([10 * MS, 50 * MS, 90 * MS], np.int64)])
    dispatcher = ArrivalDispatcher(schedule, clock=world.clock, timer=world.timer, ahead_ns=2 * MS)
    pair = run.recorder.pair("dynamodb", "wire", "cart.get")
    group = run.add_dispatcher(dispatcher, [pair])
    run.begin()
    world.run_to(ORIGIN + 49 * MS)
    for _ in range(2):
        intended = dispatcher.take()
        group.pairs[0][1].record(intended, intended, intended + MS, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "gevent", FakeGevent(world))
        run.finish()
    scribe(opening(tmp_path / "run") + sink.sent + end_frame(), account=False)
    signals = read_run(tmp_path / "run").info.health.signals
    assert "All 2 scheduled arrivals of generator are in the figures." in {s.text for s in signals}


def check_folder(
    here: Staged, path: Path, due: list[int], at: float, closed_ns: int, warm_up_s: float
) -> None:
    run = read_run(path)
    offered = Counter(ORIGIN + each * MS for each in due if each <= at)
    finished = Counter(intended for intended, _ in here.finished)
    assert not finished - offered
    left = list((offered - finished).elements())
    response_times = here.finished + [(each, closed_ns - each) for each in left]
    for warm_up, intervals in ((True, run.warm_up), (False, run.intervals)):
        wanted = Counter(
            equivalent_range(response)[1]
            for intended, response in response_times
            if (intended < ORIGIN + int(warm_up_s * S)) == warm_up
        )
        counts: Counter[int] = Counter()
        for key, parts in intervals.items():
            if key.metric == "response_time":
                for part in parts:
                    values = highest_value_ns(part.counts.index).tolist()
                    counts.update(dict(zip(values, part.counts.counts.tolist(), strict=True)))
        assert counts == wanted
    measured_left = [each for each in left if each >= ORIGIN + int(warm_up_s * S)]
    assert sum(series.unfinished for series in run.info.series) == len(measured_left)
    rows = here.rows()
    assert sum(row["offered"] for row in rows) == len(here.taken)
    late = sum(len(late) for late, _ in here.delays())
    assert sum(row["queued"] for row in rows) + late == len(here.taken)
    indexes = [index for index, _, _ in closes(here)]
    assert indexes == sorted(set(indexes))
    edges = [(start, end) for _, start, end in closes(here)]
    for (_, before), (start, _) in pairwise(edges):
        assert start == pytest.approx(before)


def test_each_second_carries_its_samples_of_the_read_lag(staged: Stage) -> None:
    # the only user is out all the time, so no arrival tells how late the loop is
    here = staged([([10, 20, 30], 1, [60_000])], sample_delays=True)
    here.run_to(1_400)
    here.stall_to(1_700)
    here.run_to(3_000)
    lags = [lags for _, lags in here.delays()]
    assert [len(each) for each in lags] == [100, 100, 100]
    assert [late for late, _ in here.delays()] == [[0], [], []]
    assert set(lags[0]) == set(lags[2]) == {0}
    assert len([lag for lag in lags[1] if lag]) == 30
    assert 290 * MS <= max(lags[1]) <= 300 * MS


def test_a_standstill_is_told_with_the_second_that_it_ends(staged: Stage) -> None:
    """Whichever timer the loop attends to first."""
    here = staged([([], 1, [1])], sample_delays=True)
    here.run_to(950)
    here.stall_to(1_250)
    here.finish()
    lags = [lag for _, lags in here.delays() for lag in lags]
    assert len(lags) == 125
    assert len([lag for lag in lags if lag]) == 30
    rows = [
        (len(lags), row["length_s"])
        for (_, lags), row in zip(here.delays(), here.rows(), strict=True)
    ]
    assert rows[0] == (125, 1.25)


def test_the_end_is_not_sampled(staged: Stage) -> None:
    """Waiting for a hung database's calls, Locust may inspect its stack, which takes long."""
    here = staged([([10], 1, [60_000])], sample_delays=True)
    here.run_to(1_000)
    here.finish()
    assert here.world.now_ns == ORIGIN + S + int(DRAIN_S * S)
    assert [lag for _, lags in here.delays() for lag in lags] == [0] * 100


def test_where_no_timer_is_precise_enough_no_lag_is_sampled(staged: Stage) -> None:
    here = staged([([10], 1, [1])], sample_delays=False)
    here.run_to(1_000)
    assert here.delays() == [([0], [])]
    assert len(here.world.timers) == 2  # the heartbeat's and the dispatcher's


# --- the rehearsal


def test_a_rehearsal_makes_its_calls_at_full_speed_and_leaves_no_trace(staged: Stage) -> None:
    due_ms = [10.0, 20.0, 1_500.0]
    here = staged([(due_ms, 2, [5])], warm_up_s=1.0, patterns=["cart.get"], begin=False)
    assert here.rehearse(Rehearsal(calls=[40], users=[2], longest_s=5.0)) == 40
    assert len(here.finished) == 40
    took_ns = here.world.now_ns - BEGIN
    assert 100 * MS <= took_ns <= 150 * MS  # 40 calls of 5 ms by two users
    assert here.run.state == "new"
    here.run.begin()
    origin_ns = here.world.now_ns + LEAD_NS
    here.world.run_to(origin_ns + 2 * S)
    assert here.taken[40:] == [origin_ns + int(at * MS) for at in due_ms]
    rows = here.rows()
    assert [(row["offered"], row["queued"], row["behind_ms"]) for row in rows] == [
        (2, 0, 0),
        (1, 0, 0),
    ]
    assert [late for late, _ in here.delays()] == [[0, 0], [0]]
    here.finish()
    recorded = sum(s["calls"] for frame, _ in here.scribe.calls() for s in frame.series)
    assert recorded == len(due_ms)


def test_a_rehearsal_is_reported_once_with_its_calls_by_backend(
    staged: Stage, tmp_path: Path
) -> None:
    here = staged([([10], 2, [50]), ([10], 1, [50])], begin=False)
    here.rehearse(Rehearsal(calls=[40, 0], users=[2, 1], longest_s=5.0))
    here.run.begin()
    here.world.run_to(here.world.now_ns + 3 * S)
    here.finish()
    sent = [frame.rehearsal for frame, _ in here.scribe.seconds()]
    assert sent == [RehearsalInfo(calls={"dynamodb": 40}, seconds=known(sent[0]).seconds)] + [
        None
    ] * (len(sent) - 1)
    assert 1.0 <= known(sent[0]).seconds <= 1.1  # 40 calls of 50 ms by two users
    path = tmp_path / "run"
    scribe(opening(path) + here.scribe.sent + end_frame(), account=False)
    assert known(read_run(path).info.rehearsal).calls == {"dynamodb": 40}


def test_a_rehearsal_ends_at_its_longest_time_whatever_is_left(staged: Stage) -> None:
    here = staged([([10], 1, [400]), ([10], 1, [1])], begin=False)
    made = here.rehearse(Rehearsal(calls=[1_000, 0], users=[1, 1], longest_s=1.0))
    assert made == 3  # a call begins at 0, 400 and 800 ms, and the last one may end
    assert len(here.finished) == 3
    assert BEGIN + 1_200 * MS <= here.world.now_ns <= BEGIN + 1_250 * MS


def test_a_call_that_hangs_does_not_hold_the_run_up(staged: Stage) -> None:
    here = staged([([10], 1, [60_000])], begin=False)
    here.rehearse(Rehearsal(calls=[1_000], users=[9], longest_s=1.0))
    assert here.world.now_ns <= BEGIN + S + REHEARSAL_DRAIN_NS + 50 * MS
    assert here.run.state == "new"


def test_a_run_that_ends_during_its_rehearsal_does_not_begin(staged: Stage) -> None:
    here = staged([([10], 1, [5])], begin=False)
    timer = here.world.timer(here.run.finish)
    timer.arm(BEGIN + 200 * MS)
    here.rehearse(Rehearsal(calls=[1_000], users=[9], longest_s=5.0))
    assert here.run.state == "cancelled"
    assert here.world.now_ns < BEGIN + 300 * MS
    assert here.scribe.sent == b""


def test_moments_are_handed_over_to_the_loop_of_asyncio_clients() -> None:
    world, handed_over = Clockwork(BEGIN), []

    def hand_over(callback: Callable[..., object], *arguments: object) -> None:
        handed_over.append((callback, arguments))

    run = LoadRun(
        scribe=Scribe(),
        worker="generator",
        warm_up_s=0,
        clock=world.clock,
        timer=world.timer,
        sample_delays=True,
        hand_over=lambda: hand_over,
    )
    run.begin()
    world.run_to(ORIGIN + S // 2)
    assert len(handed_over) == 50
    run.finish()
