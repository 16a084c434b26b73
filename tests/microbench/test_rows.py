"""Figures of a benchmark against obvious ones."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.measure.results import ResultRow
from loadtests.microbench.rows import row_of, row_of_times
from loadtests.microbench.suites.cases import CallColumns
from tests.microbench.fakes import MS, spec


def bounds_ms(row: ResultRow) -> tuple[float, float, float]:
    assert row.p99_low_ms is not None
    assert row.p99_ms is not None
    return row.p99_low_ms, row.p99_ms, row.p99_high_ms or math.inf


def columns_of(
    service: Sequence[int],
    *,
    wire: Sequence[int] = (),
    cpu: Sequence[int] = (),
    per_second: int = 100,
) -> CallColumns:
    seconds = [i // per_second for i in range(len(service))]
    return CallColumns(
        array("q", service),
        array("q", wire),
        array("q", cpu or service),
        array("q", [0] * len(service)),
        array("q", seconds),
    )


def lognormal(count: int, seed: int = 1) -> list[int]:
    times = np.random.default_rng(seed).lognormal(0.0, 0.6, count) * 2 * MS
    values: list[int] = times.astype(np.int64).tolist()
    return values


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=700))
def test_percentiles_are_the_ranks_of_the_sorted_times(service: Sequence[int]) -> None:
    row = row_of(spec(), columns_of(service))
    ranked = sorted(service)
    assert row.iterations == len(service)
    assert row.p50_ms == pytest.approx(ranked[math.ceil(0.5 * len(ranked)) - 1] / MS, rel=2e-3)
    if len(service) < 299:
        assert row.p99_ms is None
    else:
        exact = ranked[math.ceil(0.99 * len(ranked)) - 1] / MS
        assert row.p99_ms == pytest.approx(exact, rel=2e-3)


def test_the_interval_holds_the_p99_and_narrows_with_more_calls() -> None:
    few, many = (row_of(spec(), columns_of(lognormal(n))) for n in (2_000, 32_000))
    widths = []
    for row in (few, many):
        low, p99, high = bounds_ms(row)
        assert low < p99 < high < math.inf
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_order_statistics_of_independent_calls_as_by_the_binomial() -> None:
    """With design effect 1 the bounds are ranks of Bin(n, 0.99); the oracle sums it by terms."""
    service = lognormal(2_000, seed=5)
    low_ms, _, high_ms = bounds_ms(row_of(spec(), columns_of(service)))
    n, q, ranked = len(service), 0.99, sorted(service)

    def exactly(k: int) -> float:
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return math.exp(ways + k * math.log(q) + (n - k) * math.log(1 - q))

    def below(rank: int) -> float:  # P(fewer than `rank` calls lie below the quantile)
        return sum(exactly(k) for k in range(rank))

    high = next(r for r in range(n - 60, n + 1) if below(r) >= 0.975)
    low = max(r for r in range(n - 60, n + 1) if below(r) <= 0.025)
    assert high_ms >= ranked[high - 1] / MS * 0.998
    assert low_ms <= ranked[low] / MS * 1.002


def test_correlated_calls_widen_the_interval() -> None:
    smooth = lognormal(4_000)
    slow_seconds = [t * (6 if i // 100 in {3, 4, 5, 31} else 1) for i, t in enumerate(smooth)]
    correlated = row_of(spec(), columns_of(slow_seconds))
    shuffled = np.random.default_rng(3).permutation(slow_seconds).tolist()
    independent = row_of(spec(), columns_of(shuffled))
    correlated_low, _, correlated_high = bounds_ms(correlated)
    low, _, high = bounds_ms(independent)
    assert correlated_high - correlated_low > high - low


def test_shares_are_of_means() -> None:
    row = row_of(spec(), columns_of([4 * MS, 2 * MS], wire=[MS, MS // 2], cpu=[2 * MS, MS]))
    assert row.mean_ms == 3.0
    assert row.wire_ms == 0.75
    assert row.sdk_share == 0.75
    assert row.cpu_ms == 1.5


def test_without_wire_times_there_is_no_sdk_share() -> None:
    row = row_of(spec(), columns_of([MS, MS]))
    assert (row.wire_ms, row.sdk_share) == (None, None)


def test_a_benchmark_without_a_call_has_only_errors() -> None:
    columns = CallColumns()
    columns.errors["CallTimeout"] = 3
    row = row_of(spec(), columns)
    assert (row.iterations, row.p50_ms, row.errors) == (0, None, {"CallTimeout": 3})


def test_rounds_made_by_pytest_benchmark() -> None:
    row = row_of_times("harness", "test_x", [i / 1_000 for i in range(1, 401)])
    assert (row.p50_ms, row.p99_ms, row.iterations) == (200.0, 396.0, 400)
    assert row_of_times("harness", "test_x", [1.0]).p99_ms is None
