"""The colours, by role. Charts draw with the light ones; pages swap in a CSS variable per role.

The hues are Okabe and Ito's set for colour-blind readers (https://jfly.uni-koeln.de/color/),
shifted in lightness where a theme's background asks for contrast: at least 3:1 for marks and
4.5:1 for text (WCAG 2.2, 1.4.3 and 1.4.11). Colour never stands alone: shapes, words and
positions say the same.
"""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1c2330",
    "muted": "#59636e",
    "grid": "#dfe3e8",
    "warm": "#eef1f4",
    "first": "#0072b2",
    "second": "#c75a00",
    "third": "#00785a",
    "fourth": "#a8508a",
    "fifth": "#7a6a00",
    "limit": "#b0123f",
    "wire": "#2f6f8f",
    "sdk": "#d18f00",
    "queueing": "#c06aa5",
    "pass": "#0b7a5b",
    "fail": "#b3261f",
    "inconclusive": "#8a5a00",
    "invalid": "#6b4ea0",
    "heat1": "#d6e6f2",
    "heat2": "#b0d0e6",
    "heat3": "#7fb2d6",
    "heat4": "#4a90c2",
    "heat5": "#1f6ca6",
    "heat6": "#0a437a",
}

DARK: Final = {
    "paper": "#12161c",
    "ink": "#e8ecf1",
    "muted": "#a3adb9",
    "grid": "#313945",
    "warm": "#1e252e",
    "first": "#5cb8f0",
    "second": "#ff9a45",
    "third": "#3ccf9f",
    "fourth": "#e08cc4",
    "fifth": "#d9cf4a",
    "limit": "#ff6f8f",
    "wire": "#6db3d6",
    "sdk": "#f2bd4a",
    "queueing": "#d98bc0",
    "pass": "#4fd1a5",
    "fail": "#ff8076",
    "inconclusive": "#f2b84b",
    "invalid": "#b9a0f0",
    "heat1": "#16344c",
    "heat2": "#1d4a6d",
    "heat3": "#2a6a99",
    "heat4": "#4593c6",
    "heat5": "#7fc0e8",
    "heat6": "#d2ecfb",
}

HEAT: Final = ("heat1", "heat2", "heat3", "heat4", "heat5", "heat6")


def css_variables(theme: dict[str, str]) -> str:
    """The roles as CSS custom properties."""
    return "".join(f"--{role}:{colour};" for role, colour in theme.items())
