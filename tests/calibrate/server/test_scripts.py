"""Delays and freezes as pure functions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate.server.scripts import MS, SCRIPTS, SECOND, Hands, Script


def first(script: Script, count: int, seed: int = 1) -> list[int]:
    return list(itertools.islice(script.delays_ns(seed), count))


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=lambda script: script.name)
def test_the_same_seed_gives_the_same_delays(script: Script) -> None:
    assert first(script, 100) == first(script, 100)
    assert all(delay >= 0 for delay in first(script, 1_000))


def test_another_seed_gives_others() -> None:
    assert first(SCRIPTS["lognormal"], 10, 1) != first(SCRIPTS["lognormal"], 10, 2)


def test_two_point_is_3_percent_of_20_ms() -> None:
    delays = np.array(first(SCRIPTS["two_point"], 50_000))
    assert set(delays.tolist()) == {2 * MS, 20 * MS}
    # five standard errors of a share of 3% in 50,000
    assert abs((delays == 20 * MS).mean() - 0.03) < 5 * (0.03 * 0.97 / 50_000) ** 0.5


def test_lognormal_has_its_median_and_spread() -> None:
    logs = np.log(np.array(first(SCRIPTS["lognormal"], 50_000), float))
    assert abs(logs.mean() - np.log(2 * MS)) < 5 * 0.5 / 50_000**0.5
    assert abs(logs.std() - 0.5) < 5 * 0.5 / (2 * 50_000) ** 0.5


def slowly_due(script: Script, arrival: int, delay: int, start: int) -> int:
    """Step through every period, one by one."""
    due = arrival + delay
    end = start + script.period_ns
    while end <= due:
        end += script.period_ns
    return end if due >= end - script.freeze_ns else due


@given(
    st.integers(1, 500),
    st.integers(0, 2_000),
    st.integers(0, 50),
    st.integers(-1_000, 1_000),
    st.data(),
)
def test_due_times_avoid_freezes(
    period: int, offset: int, delay: int, start: int, data: st.DataObject
) -> None:
    freeze = data.draw(st.integers(1, period))
    script = Script("x", delay_ns=delay, period_ns=period, freeze_ns=freeze)
    arrival = start + offset
    due = script.due_ns(arrival, delay, start)
    assert due == slowly_due(script, arrival, delay, start)
    assert due >= arrival + delay


def test_the_frozen_script_is_frozen_for_1_s_in_10() -> None:
    script = SCRIPTS["frozen"]
    delayed = [
        script.due_ns(t, script.delay_ns, 0) - t > script.delay_ns
        for t in range(0, 100 * SECOND, 5 * MS)
    ]
    assert sum(delayed) / len(delayed) == pytest.approx(0.1, abs=0.001)
    assert script.due_ns(9 * SECOND - 3 * MS, 2 * MS, 0) == 9 * SECOND - MS
    assert script.due_ns(9 * SECOND + 1, 2 * MS, 0) == 10 * SECOND


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), max_size=40),
)
def test_hands_serve_concurrently_first_come_first_served(
    count: int, calls: list[tuple[int, int]]
) -> None:
    """Watch every nanosecond: the first in the queue begins once a hand is free."""
    hands, now = Hands(count), 0
    served: list[tuple[int, int]] = []
    arrivals = [now := now + gap for gap, _ in calls]
    begins = [hands.begin_ns(at, delay) for at, (_, delay) in zip(arrivals, calls, strict=True)]
    for at, (_, delay) in zip(arrivals, calls, strict=True):
        begin = max([at, *(b for b, _ in served[-1:])])
        while sum(end > begin for _, end in served) >= count:
            begin += 1
        served.append((begin, begin + delay))
    assert begins == [begin for begin, _ in served]
