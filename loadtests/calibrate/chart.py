"""The calibration as a chart: ground truth, this harness's figures, the conventional test's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.calibrate.figures import CalibrationCell
from loadtests.report.charts.chart import STYLE
from loadtests.report.charts.palette import LIGHT

PERCENTILES: Final = ("p50", "p99")
LABELS: Final = {
    "null": "null server",
    "constant": "constant 2 ms",
    "two_point": "2 ms, 3% at 20 ms",
    "lognormal": "lognormal, median 2 ms",
    "frozen": "frozen 1 s in 10 s",
}
_LEAST_MS: Final = 0.02  # a null server's time, on a logarithmic axis


def draw_chart(cells: Sequence[CalibrationCell], path: Path) -> None:
    """Write a PNG: one row per cell, a panel each for p50 and p99, logarithmic milliseconds."""
    with mpl.rc_context({**STYLE, "axes.facecolor": "white"}):
        figure = Figure(figsize=(9.6, 0.34 * len(cells) + 1.5), dpi=150, facecolor="white")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, percentile in zip(panels, PERCENTILES, strict=True):
            _draw(axes, cells, percentile)
        panels[0].set_yticks(range(len(cells)), [_label(cell) for cell in cells])
        panels[0].invert_yaxis()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", ncols=3)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.45 / figure.get_figheight()))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def _draw(axes: Axes, cells: Sequence[CalibrationCell], percentile: str) -> None:
    rows = range(len(cells))
    axes.set_xscale("log")
    axes.set_title(f"{percentile}, milliseconds")
    axes.scatter(
        [max(_LEAST_MS, cell.true_ms[percentile]) for cell in cells],
        rows,
        s=130,
        marker="|",
        color=LIGHT["ink"],
        linewidths=2,
        label="ground truth",
        zorder=2,
    )
    axes.scatter(
        [cell.reported_ms[percentile] for cell in cells],
        rows,
        s=26,
        marker="o",
        color=LIGHT["first"],
        label="this harness",
        zorder=3,
    )
    axes.scatter(
        [cell.conventional_ms.get(percentile, math.nan) for cell in cells],
        rows,
        s=30,
        marker="x",
        color=LIGHT["second"],
        label="Locust, boto3, constant_pacing",
        zorder=3,
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _label(cell: CalibrationCell) -> str:
    return f"{LABELS.get(cell.script, cell.script)}, {cell.rate_per_s:,.0f}/s"
