"""matplotlib's SVG made fit for a page (CSS colours, ids of its own) and for one file of many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from loadtests.report.charts.palette import LIGHT

_ROLE: Final = {colour: role for role, colour in LIGHT.items()}
_COLOUR: Final = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})\b")
_ID: Final = re.compile(r'( id="|href="#|url\(#)')
_NOISE: Final = re.compile(
    r"<metadata>.*?</metadata>|<style .*?</style>"  # its rule would reach everything around
    r"|<g [^>]*/>|(?<=<g) id=\"[^\"]*\"|(?<=<text) id=\"[^\"]*\""
    r'| transform="rotate\(-0 [^"]*\)"',
    re.DOTALL,
)
_SIZE: Final = re.compile(r'<svg (?:xmlns:xlink="[^"]*" )?width="[^"]*" height="[^"]*" ')
_FAMILY: Final = re.compile(r'font-family: [^;"]*;? ?')
_FONT: Final = re.compile(r"font: ((?:bold )?)([\d.]+px) [^;\"]*")
_TAG: Final = re.compile(r"<[^<>]*>")
_DECIMALS: Final = re.compile(r"(\d\.\d{2})\d+")


@dataclass(frozen=True, slots=True)
class Placed:
    """An SVG and where it stands in a larger one, in inches."""

    svg: str
    left_in: float
    top_in: float
    width_in: float
    height_in: float


def for_page(svg: str, prefix: str) -> str:
    """Theme by CSS variables, prefix ids, and leave the font to the page."""
    svg = _FONT.sub(_sized, _FAMILY.sub("", _lean(svg, prefix)))
    svg = _COLOUR.sub(_themed, svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def grid(parts: Sequence[Placed], width_in: float, height_in: float, title: str, paper: str) -> str:
    """One SVG file that holds all parts at their places, on a ground of colour `paper`."""
    width, height = round(72 * width_in, 2), round(72 * height_in, 2)
    inner = "".join(_nested(part, f"p{number}") for number, part in enumerate(parts))
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}" role="img" '
        f'style="stroke-linejoin: round">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width}" height="{height}" fill="{paper}"/>\n{inner}</svg>\n'
    )


def _nested(part: Placed, prefix: str) -> str:
    # plain numbers: a nested size in points would be scaled to pixels again
    place = (
        f'<svg x="{72 * part.left_in:.2f}" y="{72 * part.top_in:.2f}" '
        f'width="{72 * part.width_in:.2f}" height="{72 * part.height_in:.2f}" '
    )
    return _SIZE.sub(place, _lean(part.svg, prefix), count=1)


def _lean(svg: str, prefix: str) -> str:
    """Without declarations, metadata and needless ids; the ids left begin with `prefix`."""
    svg = _NOISE.sub("", svg[svg.index("<svg") :])
    svg = _ID.sub(rf"\g<1>{prefix}-", svg)
    svg = _TAG.sub(_shortened, svg)
    return re.sub(r"\n\s*", "\n", svg)


def _shortened(tag: re.Match[str]) -> str:
    """Hundredths of a point are enough."""
    return _DECIMALS.sub(r"\1", tag[0])


def _themed(match: re.Match[str]) -> str:
    role = _ROLE.get(match[2])
    return f"{match[1]}: var(--{role})" if role else match[0]


def _sized(match: re.Match[str]) -> str:
    """The size and weight alone: the page's own font does the rest."""
    weight = "; font-weight: bold" if match[1] else ""
    return f"font-size: {match[2]}{weight}"
