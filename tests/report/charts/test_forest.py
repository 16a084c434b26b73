"""Intervals of ratios at the edges of the axis."""

from __future__ import annotations

import pytest

from loadtests.report.charts.forest import visible_interval
from loadtests.report.figures.ratios import ForestRow

REACH = (0.05, 20.0)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.9, 1.2, (0.9, 1.2, [])),
        (30.0, 60.0, (20.0, 20.0, [(20.0, ">")])),
        (0.01, 0.02, (0.05, 0.05, [(0.05, "<")])),
        (30.0, None, (20.0, 20.0, [(20.0, ">")])),
        (None, 0.01, (0.05, 0.05, [(0.05, "<")])),
        (None, None, (0.05, 20.0, [(0.05, "<"), (20.0, ">")])),
    ],
)
def test_an_arrow_points_where_the_interval_goes_on(
    low: float | None, high: float | None, shown: object
) -> None:
    row = ForestRow(label="cart.get", role="first", ratio=1.0, low=low, high=high)
    assert visible_interval(row, REACH) == shown
