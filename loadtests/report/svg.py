"""From matplotlib's SVG file to SVG inside a page: CSS colours and ids of its own."""

from __future__ import annotations

import re
from typing import Final

from loadtests.report.palette import LIGHT

_ROLE: Final = {colour: role for role, colour in LIGHT.items()}
_COLOUR: Final = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})\b")
_ID: Final = re.compile(r'( id="|href="#|url\(#)')
_NOISE: Final = re.compile(
    r"<metadata>.*?</metadata>|<style .*?</style>"  # its rule would reach the whole page
    r"|<g [^>]*/>|(?<=<g) id=\"[^\"]*\"|(?<=<text) id=\"[^\"]*\""
    r'| transform="rotate\(-0 [^"]*\)"|font-family: [^;"]*;? ?',
    re.DOTALL,
)
_FONT: Final = re.compile(r"font: ((?:bold )?)([\d.]+px) [^;\"]*")
_DECIMALS: Final = re.compile(r"(\d\.\d{2})\d+(?=[^<>]*>)")


def for_page(svg: str, prefix: str) -> str:
    """Theme by CSS variables, prefix ids, and leave the font to the page."""
    svg = svg[svg.index("<svg") :]
    svg = _NOISE.sub("", svg)
    svg = _FONT.sub(_sized, svg)
    svg = _COLOUR.sub(_themed, svg)
    svg = _ID.sub(rf"\g<1>{prefix}-", svg)
    svg = _DECIMALS.sub(r"\1", svg)  # hundredths of a point are enough
    svg = re.sub(r"\n\s*", "\n", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _themed(match: re.Match[str]) -> str:
    role = _ROLE.get(match[2])
    return f"{match[1]}: var(--{role})" if role else match[0]


def _sized(match: re.Match[str]) -> str:
    """The size and weight alone: the page's own font does the rest."""
    weight = "; font-weight: bold" if match[1] else ""
    return f"font-size: {match[2]}{weight}"
