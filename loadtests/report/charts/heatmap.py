"""Where the calls lay along the run: a heatmap of time against latency for each subject."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from loadtests.report.charts.axes import DASH, limit_line, log_ms, seconds_axis
from loadtests.report.charts.chart import Chart, Entry, Panel
from loadtests.report.charts.palette import HEAT, LIGHT
from loadtests.report.figures.rounding import milliseconds, plain, seconds
from loadtests.report.figures.series import ReportSeries, subjects_of
from loadtests.report.figures.windows import HEAT_ROWS_A_DECADE, HEAT_SHARES, Heat, heat


def heat_chart(
    series: Sequence[ReportSeries], metric: str, limit_ms: float | None, warm_up_s: float
) -> Chart | None:
    """None when nothing was recorded."""
    heats = [
        (subject, heatmap)
        for subject in subjects_of(series)
        if (heatmap := heat([s for s in series if s.subject == subject], metric)) is not None
    ]
    if not heats:
        return None
    low = min(h.lowest_ms for _, h in heats)
    high = max(h.lowest_ms * 10 ** (len(h.levels) / HEAT_ROWS_A_DECADE) for _, h in heats)
    panels = tuple(
        Panel(
            title=f"{subject.label}, all access patterns",
            alt=f"Heatmap of {subject.label}: time along the run across, latency upwards. "
            f"Calls lie between {milliseconds(heatmap.lowest_ms).text} and {_top(heatmap)}.",
            draw=partial(
                _draw, heatmap=heatmap, reach=(low, high), limit_ms=limit_ms, warm=warm_up_s
            ),
            width_in=4.6,
            height_in=2.9,
        )
        for subject, heatmap in heats
    )
    column_s = max(heatmap.column_s for _, heatmap in heats)
    return Chart(
        name="heatmap",
        title="Latency heatmap over time",
        caption=f"Each column is {seconds(column_s)}; the darker (lighter on a dark page) a cell, "
        "the larger the share of that column's calls. A stall shows as a column that reaches up, "
        "a second mode as a second band.",
        panels=panels,
        legend=tuple(
            Entry("at least one call" if not share else f"from {plain(100 * share)}%", role)
            for share, role in zip(HEAT_SHARES, HEAT, strict=True)
        ),
    )


def _top(heatmap: Heat) -> str:
    return milliseconds(heatmap.lowest_ms * 10 ** (len(heatmap.levels) / HEAT_ROWS_A_DECADE)).text


def _draw(
    ax: Axes, *, heatmap: Heat, reach: tuple[float, float], limit_ms: float | None, warm: float
) -> None:
    log_ms(ax, *reach)
    edges = heatmap.lowest_ms * 10 ** (np.arange(len(heatmap.levels) + 1) / HEAT_ROWS_A_DECADE)
    for level, role in enumerate(HEAT, 1):
        path = _cells(heatmap, level, [float(e) for e in edges])
        if path is not None:
            ax.add_patch(PathPatch(path, facecolor=LIGHT[role], linewidth=0, antialiased=False))
    columns = heatmap.levels.shape[1]
    seconds_axis(ax, heatmap.start_s, heatmap.start_s + columns * heatmap.column_s, 0)
    if warm > heatmap.start_s:
        ax.axvline(warm, color=LIGHT["muted"], linewidth=1, linestyle=DASH)
        ax.annotate(
            "warm-up ends",
            (warm, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            color=LIGHT["muted"],
            fontsize=8,
        )
    ax.set_ylabel("ms")
    ax.grid(visible=False)
    limit_line(ax, limit_ms)


def _cells(heatmap: Heat, level: int, edges: Sequence[float]) -> Path | None:
    """All cells of one level as one path, runs of equal neighbours joined."""
    corners: list[tuple[float, float]] = []
    for row in range(len(heatmap.levels)):
        same = np.flatnonzero(heatmap.levels[row] == level)
        if not same.size:
            continue
        for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):
            left = heatmap.start_s + float(run[0]) * heatmap.column_s
            right = heatmap.start_s + (float(run[-1]) + 1) * heatmap.column_s
            low, high = edges[row], edges[row + 1]
            corners += [(left, low), (right, low), (right, high), (left, high), (left, low)]
    if not corners:
        return None
    rectangle = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(corners, rectangle * (len(corners) // 5))
