"""What charts share on their axes: millisecond scales, the target's line, time with warm-up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.rounding import plain

DASH: Final = (0, (4, 2))
# the background of a label that lines may cross
PLATE: Final[dict[str, Any]] = {"facecolor": LIGHT["paper"], "linewidth": 0, "pad": 0.8}
_STEPS: Final = (1, 2, 5)


def log_ms(ax: Axes, low_ms: float, high_ms: float, *, vertical: bool = True) -> None:
    """A logarithmic millisecond scale with 1-2-5 ticks, as many as fit."""
    low_ms = max(low_ms, 1e-3)
    high_ms = max(high_ms, low_ms * 3)
    axis, set_scale, set_limits = (
        (ax.yaxis, ax.set_yscale, ax.set_ylim)
        if vertical
        else (ax.xaxis, ax.set_xscale, ax.set_xlim)
    )
    set_scale("log")
    decades = range(math.floor(math.log10(low_ms)) - 1, math.ceil(math.log10(high_ms)) + 1)
    steps = _STEPS if math.log10(high_ms / low_ms) < 2.4 else (1,)
    ticks = [s * 10.0**d for d in decades for s in steps]
    axis.set_major_locator(
        FixedLocator([t for t in ticks if low_ms * 0.999 <= t <= high_ms * 1.001])
    )
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
    set_limits(low_ms, high_ms)


def reach_ms(values: Iterable[float | None], limit_ms: float | None) -> tuple[float, float] | None:
    """The range of a log scale that shows every value and the limit with room around."""
    known = [v for v in values if v is not None and v > 0]
    if not known:
        return None
    if limit_ms is not None:
        known.append(limit_ms)
    return min(known) / 1.35, max(known) * 1.5


def limit_line(
    ax: Axes, limit_ms: float | None, *, vertical: bool = False, left: bool = False
) -> None:
    """The target as a dashed line with its value beside it."""
    if limit_ms is None:
        return
    draw = ax.axvline if vertical else ax.axhline
    draw(limit_ms, color=LIGHT["limit"], linewidth=1.2, linestyle=DASH, zorder=3)
    place = (limit_ms, 1.0) if vertical else (0.0 if left else 1.0, limit_ms)
    ax.annotate(
        f"{plain(limit_ms)} ms",
        place,
        xycoords=("data", "axes fraction") if vertical else ("axes fraction", "data"),
        xytext=(3 if left else 0, 2),
        textcoords="offset points",
        color=LIGHT["limit"],
        ha="center" if vertical else "left" if left else "right",
        fontsize=8.5,
        bbox=None if vertical else PLATE,
        zorder=4,
    )


def seconds_axis(ax: Axes, start_s: float, end_s: float, warm_up_end_s: float) -> None:
    """Time along the run, in seconds or minutes, with the warm-up shaded."""
    if warm_up_end_s > start_s:
        ax.axvspan(start_s, warm_up_end_s, color=LIGHT["warm"], linewidth=0, zorder=0)
        ax.annotate(
            "warm-up",
            (start_s, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -9),
            textcoords="offset points",
            color=LIGHT["muted"],
            fontsize=8,
        )
    ax.set_xlim(start_s, max(end_s, start_s + 1))
    step = time_step(end_s - start_s)
    ticks = [step * i for i in range(math.ceil(start_s / step), math.floor(end_s / step) + 1)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    minutes = step >= 60
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(v / 60 if minutes else v)))
    ax.set_xlabel("time, min" if minutes else "time, s")
    ax.grid(axis="x", visible=False)


def stall_ticks(ax: Axes, starts_s: Sequence[float]) -> None:
    """A tick along the bottom of a time axis for each stall of the machine."""
    if starts_s:
        ax.plot(
            starts_s,
            [0.025] * len(starts_s),
            linestyle="none",
            marker="|",
            markersize=6,
            markeredgewidth=0.9,
            color=LIGHT["muted"],
            transform=ax.get_xaxis_transform(),
            zorder=2,
        )


def time_step(length_s: float) -> float:
    """A round tick distance that gives about six ticks."""
    for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600):
        if length_s / step <= 7:
            return step
    return 3600 * math.ceil(length_s / 3600 / 6)


def gaps(values: Sequence[float | None]) -> list[float]:
    """None as not-a-number, which a line leaves out."""
    return [math.nan if v is None else v for v in values]
