from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.hlog import Interval
from loadtests.report.figures.series import ReportSeries, ReportSubject, mean_ms
from loadtests.report.figures.windows import (
    HEAT_ROWS_A_DECADE,
    HEAT_SHARES,
    heat,
    window_length_s,
    windows,
)
from tests.known import known

SUBJECT = ReportSubject("dynamodb", "wire", "DynamoDB", "first")
values = st.lists(st.integers(1, 10**10), min_size=1, max_size=60)


def series(seconds: Sequence[Sequence[int]], warm_up: Sequence[Sequence[int]] = ()) -> ReportSeries:
    """One series whose i-th second holds `seconds[i]` (nanoseconds)."""

    def intervals(parts: Sequence[Sequence[int]], start: int) -> list[Interval]:
        return [
            Interval(float(start + i), 1.0, Sparse.of(np.asarray(part, np.int64)))
            for i, part in enumerate(parts)
        ]

    measured = intervals(seconds, len(warm_up))
    histogram = Histogram()
    for interval in measured:
        histogram.add(interval.counts)
    return ReportSeries(
        SUBJECT,
        "cart.get",
        histogram.total,
        {},
        0,
        {"response_time": histogram},
        {"response_time": measured},
        {"response_time": intervals(warm_up, 0)},
        None,
    )


@given(st.lists(st.integers(1_000, 10**9), min_size=1, max_size=500))
def test_the_mean_is_within_half_a_thousandth(numbers: list[int]) -> None:
    histogram = Histogram()
    histogram.add(Sparse.of(np.asarray(numbers, np.int64)))
    assert mean_ms(histogram) == pytest.approx(np.mean(numbers) / 1e6, rel=0.0005)


def test_a_window_holds_its_own_calls_and_no_others() -> None:
    one = series([[2_000_000] * 200, [2_000_000] * 200, [9_000_000] * 400], [[50_000_000] * 400])
    found = windows(one, "response_time", 2)
    assert [(w.start_s, w.length_s, w.warm_up, w.calls) for w in found] == [
        (0.0, 1.0, True, 400),
        (1.0, 2.0, False, 400),
        (3.0, 1.0, False, 400),
    ]
    assert found[0].p99_ms == pytest.approx(50, rel=0.001)
    assert found[1].p99_ms == pytest.approx(2, rel=0.001)
    assert found[2].p99_ms == pytest.approx(9, rel=0.001)


def test_a_window_with_too_few_calls_has_no_p99() -> None:
    (window,) = windows(series([[1_000_000] * 298]), "response_time", 1)
    assert window.p99_ms is None
    assert window.p50_ms is not None
    (window,) = windows(series([[1_000_000] * 299]), "response_time", 1)
    assert window.p99_ms is not None


def test_windows_are_long_enough_to_carry_a_p99() -> None:
    one = series([[1_000_000] * 50] * 60)
    length = window_length_s([one])
    full = [w for w in windows(one, "response_time", length) if w.length_s == length]
    assert all(w.p99_ms is not None for w in full)
    assert 50 * (length - 1) < 299 * 7 / 6
    assert window_length_s([]) == 1


def test_heat_is_each_columns_share() -> None:
    fast, slow = [1_500_000] * 98, [45_000_000] * 2
    made = known(heat([series([fast + slow, fast])]))
    assert made.column_s == 1
    assert made.levels.shape[1] == 2

    def row(ms: float) -> int:
        return int(np.floor(HEAT_ROWS_A_DECADE * np.log10(ms / made.lowest_ms) + 1e-9))

    def level(share: float) -> int:
        return sum(share >= least for least in HEAT_SHARES)

    assert made.levels[row(1.5), 0] == level(0.98)
    assert made.levels[row(45), 0] == level(0.02)
    assert made.levels[row(45), 1] == 0
    assert np.count_nonzero(made.levels) == 3


def test_heat_of_nothing() -> None:
    assert heat([series([])]) is None
