from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.stats.proportions import FailureRate


def at_most(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@given(st.integers(1, 80), st.integers(0, 80), st.sampled_from([0.05, 0.01]))
def test_bounds_are_where_the_binomial_tails_equal_the_level(calls, failed, level):
    failed = failed % (calls + 1)
    share = FailureRate(failed, calls)
    if failed < calls:
        assert at_most(failed, calls, share.high(level)) == pytest.approx(level, abs=1e-6)
    else:
        assert share.high(level) == 1.0
    if failed:
        tail = 1 - at_most(failed - 1, calls, share.low(level))
        assert tail == pytest.approx(level, abs=1e-6)
    else:
        assert share.low(level) == 0.0
    assert share.low(level) <= share.estimate <= share.high(level)


def test_no_failure_in_2995_calls_shows_less_than_one_in_a_thousand():
    assert FailureRate(0, 2_995).high(0.05) < 0.001 < FailureRate(0, 2_990).high(0.05)
