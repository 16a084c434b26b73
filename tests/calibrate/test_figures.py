"""When a reported percentile is right, which cells count, and what is said of lateness."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate.figures import QUANTILES, CalibrationCell, quantiles_ms
from loadtests.calibrate.tables import lateness_lines, markdown_table


def figures(value):
    return dict.fromkeys(QUANTILES, value)


CELL = CalibrationCell(
    script="constant",
    rate_per_s=100.0,
    calls=1_000,
    generator_cpu=0.1,
    truth=figures(2.0),
    reported=figures(2.3),
    floor=figures(0.1),
    conventional={},
    valid=True,
    lateness_p99_ms=0.2,
)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_quantiles_are_the_ranks_that_hdrhistogram_takes(values):
    found = quantiles_ms(np.array(values, np.int64))
    for name, q in QUANTILES.items():
        # the least value that at least a share q does not exceed
        slow = min(v for v in values if sum(w <= v for w in values) >= q * len(values) - 1e-9)
        assert found[name] == slow / 1e6


def test_of_nothing_there_is_no_quantile():
    assert all(math.isnan(one) for one in quantiles_ms(np.zeros(0, np.int64)).values())


@pytest.mark.parametrize(
    ("truth", "reported", "floor", "within"),
    [
        (2.0, 2.34, 0.1, True),  # the floor and 0.25 ms
        (2.0, 2.36, 0.1, False),
        (2.0, 1.64, 0.1, False),  # too low is as wrong
        (2.0, 2.24, -0.3, True),  # the probe cannot take tolerance away
        (2.0, 2.26, -0.3, False),
        (500.0, 509.9, 0.1, True),  # 2%
        (500.0, 510.1, 0.1, False),
        (2.0, 2.24, math.nan, True),  # without a probe the floor is 0
        (2.0, 2.26, math.nan, False),
    ],
)
def test_tolerance(truth, reported, floor, within):
    cell = replace(CELL, truth=figures(truth), reported=figures(reported), floor=figures(floor))
    assert cell.within("p90") is within
    assert cell.right is within


@pytest.mark.parametrize(
    ("changes", "excuse"),
    [
        ({}, ""),
        ({"machine_lost": 0.0025}, ""),
        ({"generator_cpu": 0.51}, "the generator used 51% of a core"),
        ({"valid": False, "reason": "too slow"}, "too slow"),
        (
            {"machine_lost": 0.011, "tries": 3, "valid": False, "reason": "too slow"},
            "the machine itself stood still 1.10% of the time, in the quietest of 3 tries",
        ),
    ],
)
def test_where_nothing_is_claimed_nothing_is_judged(changes, excuse):
    cell = replace(CELL, **changes)
    assert cell.excuse == excuse
    assert cell.judged is not bool(excuse)
    assert ("not judged" in markdown_table([cell])) is bool(excuse)


def test_lateness_is_told_by_rate():
    cells = [
        CELL,
        replace(CELL, script="null", lateness_p99_ms=0.4),
        replace(CELL, script="frozen", lateness_p99_ms=9.0, valid=False),
        replace(CELL, rate_per_s=1_000.0, lateness_p99_ms=None),
    ]
    assert lateness_lines(cells) == [
        "Arrivals at 100/s were handed over 0.30 ms late at p99 (median of 2 cells; worst 9.00: "
        "frozen)."
    ]
