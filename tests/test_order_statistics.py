"""The two rules about order statistics, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.order_statistics import min_calls, rank


@given(st.integers(0, 1_000_000), st.integers(1, 10**13))
def test_a_rank_is_the_least_integer_not_below_q_times_n(millionths: int, count: int) -> None:
    exact = Fraction(millionths, 1_000_000) * count
    expected = max(1, -(-exact.numerator // exact.denominator))
    assert rank(millionths / 1_000_000, count) == expected


@given(st.integers(1, 10**6), st.data())
def test_a_rank_survives_the_way_through_a_float(count: int, data: st.DataObject) -> None:
    nth = data.draw(st.integers(1, count))
    assert rank(nth / count, count) == nth
    assert rank(1.0 - (count - nth) / count, count) == nth


@pytest.mark.parametrize(
    ("q", "alpha", "calls"),
    [(0.5, 0.05, 5), (0.9, 0.05, 29), (0.99, 0.05, 299), (0.999, 0.05, 2_995), (0.99, 0.025, 368)],
)
def test_the_fewest_calls_whose_largest_bounds_the_quantile(
    q: float, alpha: float, calls: int
) -> None:
    assert min_calls(q, alpha) == calls
    # all of n values lie below the quantile with probability q to the n
    assert q**calls <= alpha < q ** (calls - 1)
