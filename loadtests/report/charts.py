"""The charts' common style, and how one becomes SVG for a page or a picture for a file.

A chart is panels that each draw on one matplotlib Axes. A page shows every panel as its own SVG,
so that a narrow screen stacks them; a file holds them in one grid. No pyplot: nothing global.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from loadtests.report.palette import LIGHT
from loadtests.report.svg import for_page

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
_GRID_DPI: Final = 130


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
class Table:
    """The same numbers for readers who cannot see the chart, or want to copy them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures_from: int = 99  # the column from which all hold numbers


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the legend: a mark (`bar`, `line`, `thin`, `dash`) in a role's colour."""

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
    table: Table | None = None
    columns: int = 2


def page_svg(chart: Chart, number: int) -> str:
    """Panel `number` as SVG to stand inside a page: themed by CSS, its ids its own."""
    panel = chart.panels[number]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(panel.width_in, panel.height_in), facecolor="none")
        _place(figure, panel, 0, 0, panel.width_in, panel.height_in)
        return for_page(_svg(figure), f"{chart.name}-{number}")


def picture(chart: Chart, kind: str) -> bytes:
    """The whole chart in one grid, `png` or `svg`, on a white ground."""
    columns = min(chart.columns, len(chart.panels))
    rows = [chart.panels[i : i + columns] for i in range(0, len(chart.panels), columns)]
    widths = [max(row[c].width_in for row in rows if c < len(row)) for c in range(columns)]
    heights = [max(panel.height_in for panel in row) for row in rows]
    with mpl.rc_context(STYLE):
        size = (sum(widths) + 0.1, sum(heights) + 0.7)
        figure = Figure(figsize=size, facecolor=LIGHT["paper"])
        _heading(figure, chart, size)
        top = sum(heights)
        for row, height in zip(rows, heights, strict=True):
            top -= height
            for column, panel in enumerate(row):
                _place(figure, panel, sum(widths[:column]), top, *size, cell_height=height)
        return _png(figure) if kind == "png" else _svg(figure).encode()


def _heading(figure: Figure, chart: Chart, size: tuple[float, float]) -> None:
    height = size[1]
    figure.text(
        0.1 / size[0], 1 - 0.12 / height, chart.title, fontsize=12, fontweight="bold", va="top"
    )
    handles = [_handle(entry) for entry in chart.legend]
    if handles:
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.02 / size[0], 1 - 0.32 / height),
            ncols=len(handles),
            columnspacing=1.4,
            handlelength=1.6,
        )


def _handle(entry: Entry) -> Artist:
    colour = LIGHT[entry.role]
    if entry.mark == "bar":
        return Patch(color=colour, label=entry.label)
    width = {"line": 2.2, "thin": 1.1, "dash": 1.2}[entry.mark]
    style: Any = (0, (4, 2)) if entry.mark == "dash" else "-"
    return Line2D([], [], color=colour, label=entry.label, linewidth=width, linestyle=style)


def _place(
    figure: Figure,
    panel: Panel,
    left: float,
    bottom: float,
    width: float,
    height: float,
    cell_height: float | None = None,
) -> None:
    """Put the panel's axes at so many inches from the lower left corner."""
    room = panel.margins
    rise = bottom + ((cell_height or panel.height_in) - panel.height_in)
    axes = figure.add_axes(
        (
            (left + room.left) / width,
            (rise + room.bottom) / height,
            (panel.width_in - room.left - room.right) / width,
            (panel.height_in - room.top - room.bottom) / height,
        )
    )
    axes.tick_params(length=0)
    panel.draw(axes)
    if panel.title:
        # from the panel's edge, not the axes', so that titles of a column line up
        axes.set_title("")
        figure.text(
            (left + 0.06) / width,
            (rise + panel.height_in - 0.1) / height,
            panel.title,
            fontsize=10,
            fontweight="bold",
            va="top",
        )


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a glyph the layout font lacks
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return out.getvalue()


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.set_dpi(_GRID_DPI)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(out, metadata={"Software": None})
    return out.getvalue()


def nice_limit(values: Sequence[float], at_least: float = 0.0) -> float:
    """A round upper end of an axis from zero that clears every value by a tenth."""
    top = max([at_least, *(v for v in values if math.isfinite(v))], default=1.0) * 1.1
    if top <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(top))
    return next(step * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * m >= top * 0.999)
