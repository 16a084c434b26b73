"""What arriving users should have seen, against a slow oracle; and the selection of calls."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate.figures import Nanoseconds
from loadtests.calibrate.ground_truth import GroundTruth, open_loop_response_ns, round_trip_ns
from loadtests.calibrate.server.memory import OTHER
from loadtests.patterns import CLOUDSHELF_PATTERNS

Windows = list[tuple[int, int]]


@st.composite
def window_lists(draw: st.DrawFn) -> Windows:
    edges = sorted(draw(st.sets(st.integers(0, 1_000), max_size=8)))
    return list(zip(edges[::2], edges[1::2], strict=False))


@given(window_lists(), st.lists(st.integers(0, 1_100), max_size=40), st.integers(0, 100))
def test_open_loop_response(windows: Windows, intended: list[int], delay: int) -> None:
    expected = []
    for start in intended:
        answered = start + delay
        for begin, end in windows:
            if begin <= answered < end:
                answered = end
                break
        expected.append(answered - start)
    assert open_loop_response_ns(intended, delay, windows).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 90)), max_size=30))
def test_each_call_may_have_its_own_delay(calls: list[tuple[int, int]]) -> None:
    intended = [start for start, _ in calls]
    delays = [delay for _, delay in calls]
    assert open_loop_response_ns(intended, delays, []).tolist() == delays


def test_a_tenth_of_arrivals_in_a_freeze_puts_p95_at_half_of_it() -> None:
    intended = np.arange(0, 100_000, 10)  # ms: 100 a second for 100 s
    windows = [(s + 9_000, s + 10_000) for s in range(0, 100_000, 10_000)]
    seen = open_loop_response_ns(intended, 2, windows)
    assert abs(np.quantile(seen, 0.95) - 500) <= 10


def truth_of(
    arrival: Nanoseconds,
    done: Nanoseconds,
    *,
    code: Nanoseconds | None = None,
    due: Nanoseconds | None = None,
    windows: Sequence[tuple[int, int]] = (),
) -> GroundTruth:
    return GroundTruth(
        code=np.zeros(len(arrival), np.int64) if code is None else code,
        arrival_ns=arrival,
        due_ns=arrival if due is None else due,
        done_ns=done,
        windows=tuple(windows),
    )


def test_truth_is_selected_by_arrival_and_by_pattern() -> None:
    code = np.array([0, 0, 1, len(CLOUDSHELF_PATTERNS)])
    arrival = np.array([10, 20, 30, 40])
    truth = truth_of(
        arrival, arrival + np.array([6, 7, 8, 9]), code=code, due=arrival + 5, windows=[(1, 2)]
    )
    assert truth.patterns == CLOUDSHELF_PATTERNS[:2]
    assert truth.of(CLOUDSHELF_PATTERNS[0]).service_ns.tolist() == [6, 7]
    assert truth.between(20, 40).service_ns.tolist() == [7, 8]
    assert truth.between(20, 40).windows == ((1, 2),)
    assert truth.error_ns.tolist() == [1, 2, 3, 4]
    assert truth.histogram().quantile_ns(0.5) == 7


@st.composite
def served(draw: st.DrawFn) -> tuple[Windows, int, list[tuple[int, int, int]]]:
    """Calls as a server records them, in the order it answers them, and its freezes."""
    windows = draw(window_lists())
    delay = draw(st.integers(0, 50))
    calls = draw(
        st.lists(
            # pattern, arrival, and how long after its moment the answer was in the socket: never
            # before it, except for the few units by which a server may spin too short
            st.tuples(st.sampled_from([0, 3, OTHER]), st.integers(0, 1_100), st.integers(-3, 60)),
            max_size=30,
            unique_by=lambda call: call[1],
        )
    )
    return windows, delay, calls


def moment(arrival: int, delay: int, windows: list[tuple[int, int]]) -> int:
    """When an answer is due by the script, looked for window by window."""
    due = arrival + delay
    for begin, end in windows:
        if begin <= due < end:
            return end
    return due


@given(served(), st.randoms())
def test_lag_is_what_a_call_took_beyond_its_moment(
    case: tuple[Windows, int, list[tuple[int, int, int]]], order: Random
) -> None:
    windows, delay, calls = case
    rows = [(code, arrival, moment(arrival, delay, windows) + lag) for code, arrival, lag in calls]
    order.shuffle(rows)  # answered in any order
    code, arrival, done = np.array(rows, np.int64).reshape(-1, 3).T
    truth = truth_of(arrival, done, code=code, windows=windows)
    expected = [
        max(0, lag) for code, _, lag in sorted(calls, key=lambda call: call[1]) if code != OTHER
    ]
    assert truth.lag_ns(delay).tolist() == expected


@given(st.integers(1, 40), st.integers(1, 9))
def test_after_a_thaw_each_call_waits_for_those_before_it(waiting: int, each: int) -> None:
    """A server that answers its queue one by one, `each` units a call."""
    arrival = np.arange(100, 100 + waiting)
    done = 500 + each * np.arange(1, waiting + 1)
    truth = truth_of(arrival, done, windows=[(90, 500)])
    assert truth.lag_ns(2).tolist() == [each * rank for rank in range(1, waiting + 1)]
    # and before the freeze there is none
    early = truth_of(np.array([10]), np.array([12]), windows=[(90, 500)])
    assert early.lag_ns(2).tolist() == [0]


def test_a_round_trip_is_the_time_beyond_the_server_s_own() -> None:
    truth = truth_of(
        np.array([300, 100, 200]), np.array([330, 110, 205]), code=np.array([OTHER, OTHER, 0])
    )
    assert round_trip_ns(truth, [(90, 125), (280, 340), (400, 500)]).tolist() == [25, 30]
