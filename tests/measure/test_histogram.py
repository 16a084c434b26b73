from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests import order_statistics
from loadtests.measure.histogram import (
    HIGHEST_NS,
    LENGTH,
    LOWEST_NS,
    SIGNIFICANT_DIGITS,
    Histogram,
    Sparse,
    bucket_index,
    highest_value_ns,
    lowest_value_ns,
)
from tests.measure.latencies import EDGES, equivalent_range, latencies

many = st.lists(latencies(too_long=True), max_size=60)
some = st.lists(latencies(too_long=True), min_size=1, max_size=60)
QUANTILES = [0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0]


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add(Sparse.of(np.array(values, np.int64)))
    return histogram


def rank(q: float, n: int) -> int:
    """ceil(q n), reading q as the decimal fraction that was written."""
    share = Fraction(str(q)) * n
    return max(1, -(-share.numerator // share.denominator))


@given(latencies(too_long=True))
def test_a_value_is_counted_with_those_that_share_its_leading_bits(value: int) -> None:
    index = bucket_index(np.array([value]))
    assert (int(lowest_value_ns(index)[0]), int(highest_value_ns(index)[0])) == equivalent_range(
        value
    )


def test_the_places_cover_every_value_once_without_gap() -> None:
    index = np.arange(LENGTH)
    low, high = lowest_value_ns(index), highest_value_ns(index)
    assert low[0] == 0
    assert (low[1:] == high[:-1] + 1).all()
    assert high[-1] >= HIGHEST_NS
    assert (
        bucket_index(np.minimum(low, HIGHEST_NS))[low <= HIGHEST_NS] == index[low <= HIGHEST_NS]
    ).all()


def test_three_significant_digits_are_kept_and_small_values_exactly() -> None:
    values = np.array(EDGES)
    width = highest_value_ns(bucket_index(values)) - lowest_value_ns(bucket_index(values)) + 1
    assert (width[values < 2_048] == 1).all()
    assert (width[values >= 2_048] / values[values >= 2_048] <= 0.001).all()


def test_values_out_of_range_are_clamped_and_not_dropped() -> None:
    sparse = Sparse.of(np.array([-5, 0, HIGHEST_NS, HIGHEST_NS + 1, 1 << 62]))
    assert sparse.total == 5
    assert sparse.counts.tolist() == [2, 3]


@given(many)
def test_counts_equal_those_of_the_hdrhistogram_package(values: list[int]) -> None:
    theirs = HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for value in values:
        assert theirs.record_value(min(value, HIGHEST_NS))
    assert theirs.counts_len == LENGTH
    assert list(theirs.counts) == of(values).counts.tolist()


@settings(max_examples=50)  # the package walks over all places in Python
@given(some, st.sampled_from(QUANTILES))
def test_percentiles_equal_those_of_the_hdrhistogram_package(values: list[int], q: float) -> None:
    theirs = HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    for value in values:
        theirs.record_value(min(value, HIGHEST_NS))
    ours, n = of(values), len(values)
    # the package rounds the rank to the nearest, so it is asked for the very rank
    assert ours.quantile_ns(q) == theirs.get_value_at_percentile(100 * rank(q, n) / n)
    assert ours.max_ns() == ours.quantile_ns(1.0) == theirs.get_max_value()


@given(some, st.sampled_from(QUANTILES) | st.floats(0, 1).map(lambda q: round(q, 6)))
def test_a_quantile_is_the_sorted_lists_value_at_rank_ceil_qn(values: list[int], q: float) -> None:
    wanted = sorted(values)[rank(q, len(values)) - 1]
    assert of(values).quantile_ns(q) == equivalent_range(wanted)[1]


@given(st.sampled_from(QUANTILES), st.integers(1, 10**13))
def test_the_rank_is_exact_in_samples_of_any_size(q: float, n: int) -> None:
    """Two values, the lower one counted up to just before the rank, or up to the rank."""
    k = rank(q, n)
    for below, wanted in ((k - 1, 2), (k, 1)):
        histogram = Histogram()
        histogram.counts[1], histogram.counts[2] = below, n - below
        assert histogram.quantile_ns(q) == wanted


@given(st.lists(many, min_size=1, max_size=5), st.floats(0, 1))
def test_the_sum_of_sparse_histograms_and_its_quantiles_equal_the_dense_histogram(
    parts: list[list[int]], q: float
) -> None:
    dense = of([value for part in parts for value in part])
    total = Sparse.sum([Sparse.of(np.array(part, np.int64)) for part in parts])
    assert total == dense.sparse()
    if dense.total:
        ordered = np.repeat(highest_value_ns(total.index), total.counts)
        assert total.quantile_ns(q) == ordered[order_statistics.rank(q, ordered.size) - 1]


def test_the_sum_of_no_histograms_is_empty() -> None:
    assert Sparse.sum([]).total == 0
    with pytest.raises(ValueError, match="empty"):
        Sparse.sum([]).quantile_ns(0.5)


def test_a_share_that_binary_floats_cannot_hold_keeps_its_rank() -> None:
    assert of(list(range(1, 11))).quantiles_ns([0.9, 0.1 + 0.2, 1 - 0.1]) == [9, 3, 9]
    assert of(list(range(1, 101))).quantiles_ns([0.99, 0.07, 0.29]) == [99, 7, 29]


def test_an_empty_histogram_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="empty"):
        Histogram().quantile_ns(0.5)
    with pytest.raises(ValueError, match="empty"):
        Histogram().max_ns()


@settings(max_examples=40)
@given(many, many, many)
def test_merging_is_addition(a: list[int], b: list[int], c: list[int]) -> None:
    def merged(*parts: list[int]) -> Histogram:
        histogram = Histogram()
        for part in parts:
            histogram.add(Sparse.of(np.array(part, np.int64)))
        return histogram

    whole = of(a + b + c)
    orders: list[list[list[int]]] = [
        [a, b, c],
        [c, b, a],
        [b, c, a],
        [a + b, c],
        [a, c + b],
        [a, b, c, []],
    ]
    for order in orders:
        assert np.array_equal(merged(*order).counts, whole.counts)
    assert whole.total == len(a) + len(b) + len(c)


@given(many)
def test_sparse_and_whole_histograms_are_the_same_thing(values: list[int]) -> None:
    sparse = Sparse.of(np.array(values, np.int64))
    assert of(values).sparse() == sparse
    assert sparse.total == len(values)
    assert (np.diff(sparse.index) > 0).all()
    assert (sparse.counts > 0).all()
    counted = Counter(equivalent_range(value)[0] for value in values)
    assert dict(
        zip(lowest_value_ns(sparse.index).tolist(), sparse.counts.tolist(), strict=True)
    ) == (counted)


def test_sparse_equality_looks_at_places_and_counts() -> None:
    one = Sparse.of(np.array([5, 5, 9]))
    assert one == Sparse.of(np.array([9, 5, 5]))
    assert one != Sparse.of(np.array([5, 9, 9]))
    assert one != Sparse.of(np.array([5, 5, 10]))
    assert one != "5, 5, 9"
