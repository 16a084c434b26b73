"""Statistics of the meters' safety tests (`experiments/noise/rates.py`)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.noise.rates import (
    Calls,
    RateTest,
    exclude,
    p99_interval_ms,
    p99_ms,
    shifted,
)
from loadtests.measure.stalls.windows import Stall

MS = 1_000_000
SECOND = 1_000 * MS


def stall(due_ns: int, length_ns: int = 5 * MS) -> Stall:
    return Stall(0, due_ns - MS, due_ns, length_ns)


def counted(idle: int, loaded: int, idle_s: float = 60.0, loaded_s: float = 60.0) -> RateTest:
    return RateTest(idle=idle, idle_s=idle_s, loaded=loaded, loaded_s=loaded_s)


@given(st.integers(0, 30), st.integers(0, 30))
def test_p_value_sums_the_outcomes_that_are_no_likelier(idle: int, loaded: int) -> None:
    total = idle + loaded
    chances = [
        math.comb(total, k) * (1 / 3) ** k * (2 / 3) ** (total - k) for k in range(total + 1)
    ]
    expected = sum(c for c in chances if c <= chances[loaded] * (1 + 1e-7))
    assert counted(idle, loaded, 40.0, 20.0).p_value == pytest.approx(expected, abs=1e-9)


def test_only_a_higher_rate_fails() -> None:
    assert not counted(10, 40).safe
    assert counted(40, 10).safe
    assert counted(40, 10).p_value < 0.01
    assert counted(10, 15).safe
    assert counted(0, 0).safe
    assert not counted(10, 20, 60.0, 15.0).safe  # the same count in less time


def calls_of(took_ms: list[float], gap_ms: int = 10) -> Calls:
    sent = np.arange(len(took_ms), dtype=np.int64) * gap_ms * MS + SECOND
    return Calls(sent_ns=sent, took_ns=np.array([round(t * MS) for t in took_ms], np.int64))


def test_efficiency_is_the_share_of_slow_calls_that_were_left_out() -> None:
    took = [2.0] * 100
    took[20] = took[80] = 30.0
    calls = calls_of(took)
    result = exclude(calls, [stall(SECOND + 201 * MS)], 10 * MS)
    assert result.efficiency == 0.5
    assert 0.01 <= result.left_out <= 0.04
    assert result.p99_ms == 30.0
    assert math.isnan(exclude(calls_of([2.0] * 5), [], 10 * MS).efficiency)


@given(st.integers(0, 10_000), st.integers(0, 99_999))
def test_a_shifted_list_wraps_around(by_ms: int, due_us: int) -> None:
    begin, end = SECOND, SECOND + 100 * MS
    due = begin + due_us * 1_000
    (moved,) = shifted([stall(due), stall(end)], by_ms * MS, begin, end)
    assert begin <= moved.due_ns < end
    assert (moved.due_ns - due - by_ms * MS) % (100 * MS) == 0
    assert (moved.due_ns - moved.from_ns, moved.length_ns) == (MS, 5 * MS)


def test_the_interval_contains_the_p99_and_ends_at_the_slow_second() -> None:
    took = [2.0, 3.0] * 1_000
    took[500:600] = [9.0] * 100  # one slow second of twenty
    low, high = p99_interval_ms(calls_of(took), 0.7)
    assert low == 3.0
    assert high == 9.0
    assert low <= p99_ms(calls_of(took).took_ns) <= high
