from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.proportions import FailureRate


def at_most(k: int, n: int, p: float) -> float:
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@given(st.integers(1, 80), st.integers(0, 80), st.sampled_from([0.05, 0.01]))
def test_bounds_are_where_the_binomial_tails_equal_the_level(
    calls: int, failed: int, level: float
) -> None:
    failed = failed % (calls + 1)
    share = FailureRate(failed, calls)
    if failed < calls:
        assert at_most(failed, calls, share.high(TailProbability(level))) == pytest.approx(
            level, abs=1e-6
        )
    else:
        assert share.high(TailProbability(level)) == 1.0
    if failed:
        tail = 1 - at_most(failed - 1, calls, share.low(TailProbability(level)))
        assert tail == pytest.approx(level, abs=1e-6)
    else:
        assert share.low(TailProbability(level)) == 0.0
    assert share.low(TailProbability(level)) <= share.estimate <= share.high(TailProbability(level))


def test_no_failure_in_2995_calls_shows_less_than_one_in_a_thousand() -> None:
    assert (
        FailureRate(0, 2_995).high(TailProbability(0.05))
        < 0.001
        < FailureRate(0, 2_990).high(TailProbability(0.05))
    )
