"""From a chart to SVG inside a page and to picture files; every panel is laid out once.

A page shows each panel as its own SVG, so that a narrow screen stacks them; a file holds them in
one grid under the chart's title and legend. No pyplot: nothing global.
"""

from __future__ import annotations

import contextlib
import gc
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from PIL import Image

from loadtests.report.charts.chart import STYLE, Chart, Entry, Panel
from loadtests.report.charts.palette import LIGHT
from loadtests.report.charts.svg import Placed, for_page, grid

_DPI: Final = 120
_HEADING_IN: Final = 0.65
_EDGE_IN: Final = 0.17  # from a panel's edge to an axis label

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart drawn: its heading and panels as matplotlib's SVG and as pixels."""

    chart: Chart
    heading: tuple[str, Pixels]
    panels: tuple[tuple[str, Pixels], ...]

    def page_svgs(self) -> list[str]:
        """Each panel to stand inside a page: themed by CSS, its ids its own."""
        return [for_page(svg, f"{self.chart.name}-{n}") for n, (svg, _) in enumerate(self.panels)]

    def svg(self) -> bytes:
        """The whole chart as one SVG file."""
        width, height, places = _layout(self.chart)
        parts = [Placed(self.heading[0], 0, 0, width, _HEADING_IN)]
        for (svg, _), (left, top), panel in zip(
            self.panels, places, self.chart.panels, strict=True
        ):
            parts.append(Placed(svg, left, top, panel.width_in, panel.height_in))
        return grid(parts, width, height, self.chart.title, LIGHT["paper"]).encode()

    def png(self) -> bytes:
        """The whole chart as one PNG file."""
        width, height, places = _layout(self.chart)
        canvas = np.full((round(height * _DPI), round(width * _DPI), 3), 255, np.uint8)
        _paste(canvas, self.heading[1], 0, 0)
        for (_, pixels), (left, top) in zip(self.panels, places, strict=True):
            _paste(canvas, pixels, left, top)
        out = io.BytesIO()
        Image.fromarray(canvas).save(out, "PNG", dpi=(_DPI, _DPI))
        return out.getvalue()


def draw(chart: Chart) -> Drawing:
    """Draw the heading and every panel."""
    with mpl.rc_context(STYLE), warnings.catch_warnings(), _no_collection():
        warnings.simplefilter("ignore", UserWarning)  # a glyph the layout font lacks
        heading = _both(_heading(chart, _layout(chart)[0]))
        return Drawing(chart, heading, tuple(_both(_panel(panel)) for panel in chart.panels))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the cyclic collector, which would walk all of matplotlib again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _layout(chart: Chart) -> tuple[float, float, list[tuple[float, float]]]:
    """Width, height and each panel's upper left corner, in inches."""
    columns = min(chart.columns, len(chart.panels))
    width = max(panel.width_in for panel in chart.panels)
    places, top = [], _HEADING_IN
    for first in range(0, len(chart.panels), columns):
        row = chart.panels[first : first + columns]
        places += [(width * column, top) for column in range(len(row))]
        top += max(panel.height_in for panel in row)
    return width * columns + 0.1, top, places


def _panel(panel: Panel) -> Figure:
    width, height, room = panel.width_in, panel.height_in, panel.margins
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=LIGHT["paper"])
    axes = figure.add_axes(
        (
            room.left / width,
            room.bottom / height,
            (width - room.left - room.right) / width,
            (height - room.top - room.bottom) / height,
        )
    )
    axes.tick_params(length=0, left=False, bottom=False)
    panel.draw(axes)
    # at fixed places: finding them from the tick labels costs a seventh of the drawing
    inner = axes.get_position()
    inner_width, inner_height = inner.width * width, inner.height * height
    axes.xaxis.set_label_coords(0.5, -(room.bottom - _EDGE_IN) / inner_height)
    axes.yaxis.set_label_coords(-(room.left - _EDGE_IN) / inner_width, 0.5)
    # at the panel's edge, not the axes', so that the titles of a column line up
    _title(figure, panel.title, 10, 0.06 / width, 1 - 0.1 / height)
    return figure


def _heading(chart: Chart, width: float) -> Figure:
    figure = Figure(figsize=(width, _HEADING_IN), dpi=_DPI, facecolor=LIGHT["paper"])
    _title(figure, chart.title, 12, 0.06 / width, 1 - 0.1 / _HEADING_IN)
    handles = [_handle(entry) for entry in chart.legend]
    if handles:
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(-0.04 / width, 1 - 0.3 / _HEADING_IN),
            ncols=len(handles),
            columnspacing=1.4,
            handlelength=1.6,
        )
    return figure


def _title(figure: Figure, text: str, size: float, x: float, y: float) -> None:
    figure.text(x, y, text, fontsize=size, fontweight="bold", va="top")


def _handle(entry: Entry) -> Artist:
    colour = LIGHT[entry.role]
    if entry.mark == "bar":
        return Patch(color=colour, label=entry.label)
    if entry.mark == "tick":
        return Line2D(
            [], [], color=colour, label=entry.label, marker="|", markersize=7, linestyle="none"
        )
    width = {"line": 2.2, "thin": 1.1, "dash": 1.2}[entry.mark]
    style: Any = (0, (4, 2)) if entry.mark == "dash" else "-"
    return Line2D([], [], color=colour, label=entry.label, linewidth=width, linestyle=style)


def _both(figure: Figure) -> tuple[str, Pixels]:
    agg: Any = FigureCanvasAgg(figure)
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())[..., :3].copy()
    figure.patch.set_visible(False)  # a page has its own ground
    out = io.StringIO()
    svg: Any = FigureCanvasSVG(figure)
    svg.print_svg(out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return out.getvalue(), pixels


def _paste(canvas: Pixels, pixels: Pixels, left_in: float, top_in: float) -> None:
    top, left = round(top_in * _DPI), round(left_in * _DPI)
    place = canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    place[...] = pixels[: place.shape[0], : place.shape[1]]
