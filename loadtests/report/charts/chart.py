"""The charts' common style, and what a chart is: panels that each draw on one matplotlib Axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes

from loadtests.report.charts.palette import LIGHT

STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a name holding $ is a name
    "axes.edgecolor": LIGHT["muted"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": LIGHT["ink"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.7,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: small, selectable, in the reader's font
    "svg.hashsalt": "cloudshelf-loadtests",
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Margins:
    """Room around the axes, in inches, for tick labels and titles."""

    left: float = 0.62
    right: float = 0.15
    top: float = 0.32
    bottom: float = 0.45


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes; `alt` says in words what it shows."""

    title: str
    alt: str
    draw: Callable[[Axes], None]
    width_in: float = 4.2
    height_in: float = 2.5
    margins: Margins = Margins()


@dataclass(frozen=True, slots=True)
class ChartTable:
    """The same numbers for readers who cannot see the chart, or want to copy them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures_from: int = 99  # the column from which all hold numbers


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the legend: a mark (`bar`, `line`, `thin`, `dash`, `tick`) in a role's colour."""

    label: str
    role: str
    mark: str = "bar"


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure of the report: `name` is its file stem and anchor, `caption` how to read it."""

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[Entry, ...] = ()
    table: ChartTable | None = None
    columns: int = 2


def percentile_legend(
    subjects: Iterable[tuple[str, str]], limit_ms: float | None
) -> tuple[Entry, ...]:
    """Labels and roles as a thick line for p99 and a thin one for p50, and the target's line."""
    named = list(subjects)
    return (
        *(Entry(f"{label} p99".strip(), role, "line") for label, role in named),
        *(Entry(f"{label} p50".strip(), role, "thin") for label, role in named),
        *target_legend(limit_ms),
    )


def target_legend(limit_ms: float | None) -> tuple[Entry, ...]:
    """The target's line, where there is one."""
    return () if limit_ms is None else (Entry("target for p99", "limit", "dash"),)


def nice_limit(values: Sequence[float], at_least: float = 0.0) -> float:
    """A round upper end of an axis from zero that clears every value by a tenth."""
    top = max([at_least, *(v for v in values if math.isfinite(v))], default=1.0) * 1.1
    if top <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(top))
    return next(step * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * m >= top * 0.999)
