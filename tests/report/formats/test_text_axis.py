"""Intervals drawn with characters."""

from __future__ import annotations

import pytest

from loadtests.report.formats.text_axis import NO_BREAK, WIDTH, TextAxis, axis_of
from tests.report.compared_runs import growth

AXIS = TextAxis(0.8, 1.25, 21)  # 1.0 is in the middle


def line(estimate: float, low: float | None, high: float | None, percentile: str = "p50") -> str:
    drawn = AXIS.line(growth("cart.get", percentile, estimate, low=low, high=high))
    assert len(drawn) == AXIS.width
    return drawn.replace(NO_BREAK, " ")


@pytest.mark.parametrize(
    ("figures", "drawn"),
    [
        # the limit of a p50 is 1.1, that of a p99 1.2
        ((0.9, 0.85, 0.94, "p50"), "   ├─●─┤  │   ║      "),
        ((1.0, 0.94, 1.06, "p50"), "       ├──●──┤║      "),
        ((1.05, 0.94, 1.15, "p99"), "       ├──┼─●───┤ ║  "),
        ((1.15, 1.05, 1.22, "p50"), "          │ ├─╫─●──┤ "),
        ((0.95, 0.9, 1.1, "p50"), "     ├──●─┼───╢      "),
        ((1.15, 1.1, 1.2, "p50"), "          │   ╟─●─┤  "),
        ((1.0, 0.6, 1.6, "p50"), "◄─────────●───╫─────►"),
        ((1.0, None, None, "p50"), "◄─────────●───╫─────►"),
        ((1.0, 1.0, 1.0, "p50"), "          ●   ║      "),
    ],
)
def test_lines(figures: tuple[float, float | None, float | None, str], drawn: str) -> None:
    assert line(*figures) == drawn


def test_the_scale_has_its_ends_and_no_change() -> None:
    assert AXIS.scale().replace(NO_BREAK, " ") == "−20%      0      +25%"
    near = TextAxis(0.99, 1.3, 21).scale().replace(NO_BREAK, " ")
    assert near == "−1.0%            +30%"  # no room for 0


def test_an_axis_holds_every_ratio_and_limit_and_what_it_can_of_intervals() -> None:
    axis = axis_of([growth("cart.get", "p50", 1.0, low=0.9, high=1.05)])
    assert axis.width == WIDTH
    assert [axis.left, axis.right] == pytest.approx([0.9 / 1.01, 1.1 * 1.01])
    wide = axis_of(
        [growth("a", "p99", 3.1, low=2.9, high=40.0), growth("b", "p99", 1.0, low=0.1, high=None)]
    )
    assert [wide.left, wide.right] == pytest.approx([1 / 1.515, 3.1 * 1.515])


def test_an_axis_of_equal_ratios_has_a_width() -> None:
    limit = growth("a", "p50", 1.0, low=None, high=None).model_copy(update={"limit": 1.0})
    assert axis_of([limit]).line(limit).count("●") == 1
