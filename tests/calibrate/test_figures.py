"""When a reported percentile is right, which cells count, and how dispatch delay is stated."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate.figures import QUANTILES, CalibrationCell, percentiles_ms
from loadtests.calibrate.tables import dispatch_delay_lines, markdown_table


def figures(value: float) -> dict[str, float]:
    return dict.fromkeys(QUANTILES, value)


CELL = CalibrationCell(
    script="constant",
    rate_per_s=100.0,
    calls=1_000,
    generator_cpu=0.1,
    true_ms=figures(2.0),
    reported_ms=figures(2.3),
    round_trip_ms=figures(0.1),
    conventional_ms={},
    valid=True,
    dispatch_delay_p99_ms=0.2,
)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_quantiles_are_the_ranks_that_hdrhistogram_takes(values: list[int]) -> None:
    percentiles = percentiles_ms(np.array(values, np.int64))
    for name, q in QUANTILES.items():
        # the least value that at least a share q does not exceed
        slow = min(v for v in values if sum(w <= v for w in values) >= q * len(values) - 1e-9)
        assert percentiles[name] == slow / 1e6


def test_of_nothing_there_is_no_quantile() -> None:
    assert all(math.isnan(value) for value in percentiles_ms(np.zeros(0, np.int64)).values())


@pytest.mark.parametrize(
    ("true_ms", "reported_ms", "round_trip_ms", "within"),
    [
        (2.0, 2.34, 0.1, True),  # the round trip and 0.25 ms
        (2.0, 2.36, 0.1, False),
        (2.0, 1.64, 0.1, False),  # too low is as wrong
        (2.0, 2.24, -0.3, True),  # a negative round trip takes no tolerance away
        (2.0, 2.26, -0.3, False),
        (500.0, 509.9, 0.1, True),  # 2%
        (500.0, 510.1, 0.1, False),
        (2.0, 2.24, math.nan, True),  # without round trips the tolerance has none
        (2.0, 2.26, math.nan, False),
    ],
)
def test_tolerance(true_ms: float, reported_ms: float, round_trip_ms: float, within: bool) -> None:
    cell = replace(
        CELL,
        true_ms=figures(true_ms),
        reported_ms=figures(reported_ms),
        round_trip_ms=figures(round_trip_ms),
    )
    assert cell.within("p90") is within
    assert cell.right is within


@pytest.mark.parametrize(
    ("changes", "excuse"),
    [
        ({}, ""),
        ({"stalled_share": 0.0025}, ""),
        ({"generator_cpu": 0.51}, "the generator used 51% of a core"),
        ({"valid": False, "reason": "too slow"}, "too slow"),
        (
            {"stalled_share": 0.011, "tries": 3, "valid": False, "reason": "too slow"},
            "the machine itself stalled 1.10% of the time, in the quietest of 3 tries",
        ),
    ],
)
def test_a_cell_with_an_excuse_is_not_judged(changes: dict[str, Any], excuse: str) -> None:
    cell = replace(CELL, **changes)
    assert cell.excuse == excuse
    assert cell.judged is not bool(excuse)
    assert ("not judged" in markdown_table([cell])) is bool(excuse)


def test_dispatch_delay_is_stated_by_rate() -> None:
    cells = [
        CELL,
        replace(CELL, script="null", dispatch_delay_p99_ms=0.4),
        replace(CELL, script="frozen", dispatch_delay_p99_ms=9.0, valid=False),
        replace(CELL, rate_per_s=1_000.0, dispatch_delay_p99_ms=None),
    ]
    assert dispatch_delay_lines(cells) == [
        "Dispatch delay at 100/s: p99 0.30 ms (median of 2 cells; worst 9.00: frozen)."
    ]
