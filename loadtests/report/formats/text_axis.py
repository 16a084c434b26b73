"""Ratios and their intervals as lines of characters, for a font of fixed width.

`│` is no change, `║` the limit, `●` the ratio and `├──┤` its interval; `◄` and `►` are ends that
the axis does not reach. All are in WGL4, the characters that common fonts of fixed width have, and
none has a meaning in Markdown. Spaces are no-break spaces, so that lines keep their length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import LimitVerdict
from loadtests.report.figures.rounding import change

NO_BREAK: Final = "\u00a0"
WIDTH: Final = 25  # characters
_REACH: Final = 1.5  # the axis shows an interval up to this factor beyond all ratios and limits
_MARGIN: Final = 1.01
_LIMIT: Final = {NO_BREAK: "║", "│": "║", "─": "╫", "├": "╟", "┤": "╢", "◄": "◄", "►": "►"}


@dataclass(frozen=True, slots=True)
class TextAxis:
    """A logarithmic axis of ratios from `left` to `right`, which are its outermost characters."""

    left: float
    right: float
    width: int = WIDTH

    def column(self, ratio: float) -> int:
        """The character of a ratio; that of the nearer end for one beyond the axis."""
        share = math.log(ratio / self.left) / math.log(self.right / self.left)
        return min(max(round(share * (self.width - 1)), 0), self.width - 1)

    def scale(self) -> str:
        """The ends of the axis as changes, and 0 where there is no change."""
        line = [NO_BREAK] * self.width
        left, right = (change(end - 1).text for end in (self.left, self.right))
        line[: len(left)] = left
        line[self.width - len(right) :] = right
        zero = self.column(1.0)
        if len(left) < zero < self.width - len(right) - 1:
            line[zero] = "0"
        return "".join(line)

    def line(self, limit: LimitVerdict) -> str:
        """A ratio with its interval and its limit."""
        low, high = limit.low, limit.high
        first = self.column(low) if low else 0
        last = self.column(high) if high else self.width - 1
        line = [NO_BREAK] * self.width
        line[first : last + 1] = "─" * (last + 1 - first)
        line[first] = "├" if low and low >= self.left else "◄"
        line[last] = "┤" if high and high <= self.right else "►"
        no_change, allowed = self.column(1.0), self.column(limit.limit)
        line[no_change] = {NO_BREAK: "│", "─": "┼"}.get(line[no_change], line[no_change])
        line[allowed] = _LIMIT.get(line[allowed], line[allowed])
        line[self.column(limit.estimate)] = "●"
        return "".join(line)


def axis_of(limits: Sequence[LimitVerdict]) -> TextAxis:
    """The axis that shows all ratios and limits, and what it can of their intervals."""
    shown = [1.0, *(figure for limit in limits for figure in (limit.estimate, limit.limit))]
    ends = [end for limit in limits for end in (limit.low, limit.high) if end]
    left, right = min(shown), max(shown)
    return TextAxis(
        max(left / _REACH, min([left, *ends])) / _MARGIN,
        min(right * _REACH, max([right, *ends])) * _MARGIN,
    )
