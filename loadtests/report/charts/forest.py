"""Ratios with their intervals: one line each, so that "faster", "slower" and "unknown" show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.report.charts.axes import DASH
from loadtests.report.charts.chart import Chart, ChartTable, Entry, Margins, Panel
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.ratios import ForestRow, RatioGroup
from loadtests.report.figures.rounding import digits, plain

_STEPS: Final = (
    0.05,
    0.1,
    0.2,
    0.25,
    0.33,
    0.5,
    0.67,
    0.8,
    0.9,
    1,
    1.1,
    1.25,
    1.5,
    2,
    3,
    4,
    5,
    10,
    20,
)
_FEW: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10)
_REACH: Final = 20.0
_ROW: Final = 0.24  # inches


def forest_chart(
    groups: Sequence[RatioGroup],
    *,
    name: str,
    title: str,
    caption: str,
    sides: tuple[str, str],
    legend: tuple[Entry, ...] = (),
) -> Chart | None:
    """`sides` are the words for below and above 1. None when there is no ratio."""
    groups = [group for group in groups if group.ratios]
    if not groups:
        return None
    # every panel on one scale, wide enough for all ends but the wildest
    ends = [e for g in groups for r in g.ratios for e in (r.low, r.ratio, r.high, r.limit) if e]
    reach = (
        max(1 / _REACH, min([0.8, *ends]) / 1.08),
        min(_REACH, max([1.25, *ends]) * 1.08),
    )
    panels = tuple(
        Panel(
            title=group.title,
            alt=f"{group.title}. " + "; ".join(f"{r.label} {r.text}" for r in group.ratios) + ".",
            draw=partial(_draw, ratios=group.ratios, reach=reach, sides=sides),
            width_in=4.6,
            height_in=0.85 + _ROW * len(group.ratios),
            margins=Margins(left=1.55, right=0.6, top=0.4, bottom=0.45),
        )
        for group in groups
    )
    rows = tuple((r.label, g.title, r.text) for g in groups for r in g.ratios)
    return Chart(
        name=name,
        title=title,
        caption=caption,
        panels=panels,
        legend=legend,
        table=ChartTable(("Access pattern", "Ratio of", "Ratio (95% interval)"), rows),
    )


def _draw(
    ax: Axes, *, ratios: Sequence[ForestRow], reach: tuple[float, float], sides: tuple[str, str]
) -> None:
    left, right = reach
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    for y, ratio in enumerate(ratios):
        colour = LIGHT[ratio.role]
        low, high, leaves = visible_interval(ratio, reach)
        ax.plot([low, high], [y, y], color=colour, linewidth=1.6)
        for edge, mark in leaves:
            ax.plot([edge], [y], mark, color=colour, markersize=5, clip_on=False)
        if left <= ratio.ratio <= right:
            ax.plot([ratio.ratio], [y], "s", color=colour, markersize=5)
        ax.annotate(
            f"{digits(ratio.ratio)}×",
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
        if ratio.limit is not None:
            ax.plot([ratio.limit] * 2, [y - 0.35, y + 0.35], color=LIGHT["limit"], linewidth=1.4)
    ax.axvline(1, color=LIGHT["muted"], linewidth=1, linestyle=DASH, zorder=1)
    steps = _STEPS if right / left < 6 else _FEW
    inside = [s for s in steps if left <= s <= right]
    ax.xaxis.set_major_locator(FixedLocator(_spread(inside, right / left)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{plain(v)}×"))
    ax.set_yticks(range(len(ratios)), [r.label for r in ratios])
    ax.tick_params(axis="y", labelcolor=LIGHT["ink"])
    ax.set_ylim(len(ratios) - 0.5, -0.5)
    ax.set_xlabel(f"← {sides[0]}  |  {sides[1]} →")
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)


def visible_interval(
    row: ForestRow, reach: tuple[float, float]
) -> tuple[float, float, list[tuple[float, str]]]:
    """The part of an interval that the axis shows, and an arrow where it goes on outside.

    Of an interval wholly outside, only the arrow on its own side is left.
    """
    left, right = reach
    low = left if row.low is None else min(max(row.low, left), right)
    high = right if row.high is None else min(max(row.high, left), right)
    leaves = []
    if row.low is None or row.low < left:
        leaves.append((left, "<"))
    if row.high is None or row.high > right:
        leaves.append((right, ">"))
    return low, high, leaves


def _spread(ticks: Sequence[float], width: float) -> list[float]:
    """Ticks at least a seventh of the axis apart, 1 always among them."""
    gap = math.log(width) / 7
    spread = [1.0]
    for tick in sorted(ticks, key=lambda t: abs(math.log(t))):
        if all(abs(math.log(tick / other)) >= gap * 0.98 for other in spread):
            spread.append(tick)
    return sorted(spread)
