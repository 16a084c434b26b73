"""How a number becomes text: three significant digits, a unit, and honesty about small samples.

Page building calls these once for each number shown; templates, charts and exports never round.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import Final

from loadtests.judge.sentences import SECONDS_FROM_MS

CONFIDENCE: Final = 0.95
MISSING: Final = "–"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Number:
    """A value to draw or sort by, and the one text it is shown as; value None sorts last."""

    value: float | None
    text: str

    @property
    def known(self) -> bool:
        """Whether there is a value behind the text."""
        return self.value is not None


UNKNOWN: Final = Number(None, MISSING)


def digits(value: float, significant: int = 3) -> str:
    """`value` with `significant` digits, thousands grouped, never an exponent."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    places = significant - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    # 9.996 rounds to 10.00: one decimal fewer keeps three digits
    if rounded and math.floor(math.log10(abs(rounded))) > math.floor(math.log10(abs(value))):
        places -= 1
    return f"{rounded:,.{min(max(places, 0), 12)}f}"


def plain(value: float) -> str:
    """`digits` without the zeros that only claim precision, for limits and ticks: `0.5`, `10`."""
    text = digits(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def beside(value: float, limit: float | None) -> str:
    """`digits`, with more of them where three would move the value onto or across `limit`."""
    for significant in range(3, 9):
        text = digits(value, significant)
        if limit is None or _side(float(text.replace(",", "")), limit) == _side(value, limit):
            return text
    return text


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)


def milliseconds(value_ms: float | None, limit_ms: float | None = None) -> Number:
    """`1.23 ms`; seconds from ten of them on, where milliseconds have more than four digits."""
    if value_ms is None or not math.isfinite(value_ms):
        return UNKNOWN
    if abs(value_ms) >= SECONDS_FROM_MS:
        limit_s = None if limit_ms is None else limit_ms / 1e3
        return Number(value_ms, f"{beside(value_ms / 1e3, limit_s)} s")
    return Number(value_ms, f"{beside(value_ms, limit_ms)} ms")


def span(low: float | None, high: float | None, unit: str = "ms") -> str:
    """An interval, `1.20–1.31 ms`; an end without a bound is shown as open.

    Seconds where an end has at least ten of them, as `milliseconds` has.
    """
    if low is None and high is None:
        return ""
    ends = [end for end in (low, high) if end is not None and math.isfinite(end)]
    if unit == "ms" and max(map(abs, ends), default=0.0) >= SECONDS_FROM_MS:
        return span(None if low is None else low / 1e3, None if high is None else high / 1e3, "s")
    if high is None or not math.isfinite(high):
        return f"≥ {digits(low or 0.0)} {unit}".rstrip()
    if low is None or not math.isfinite(low):
        return f"≤ {digits(high)} {unit}".rstrip()
    return f"{digits(low)}–{digits(high)} {unit}".rstrip()


def change(share: float | None) -> Number:
    """A growth as a share (0.041) as `+4.1%`; one decimal below 10%, none above."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    percent = 100 * share
    text = f"{percent:+,.1f}" if abs(percent) < 9.95 else f"{percent:+,.0f}"
    if float(text.replace(",", "")) == 0:
        text = "±0"
    return Number(share, text.replace("-", "−") + "%")


def change_span(low: float | None, high: float | None) -> str:
    """An interval of growth, `+1.0% to +7.2%`."""
    if high is not None and not math.isfinite(high):
        high = None
    if low is None:
        return "" if high is None else f"≤ {change(high).text}"
    if high is None:
        return f"≥ {change(low).text}"
    return f"{change(low).text} to {change(high).text}"


def times(ratio: float | None) -> Number:
    """A ratio as `1.42×`."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return Number(ratio, f"{digits(ratio)}×")


def count(value: int) -> Number:
    """`12,345`."""
    return Number(float(value), f"{value:,}")


def percent(share: float) -> Number:
    """A share as `0.12%`, two significant digits; exact zero stays `0`."""
    return Number(share, "0" if share == 0 else f"{digits(100 * share, 2)}%")


def per_second(rate: float) -> Number:
    """`498 /s`."""
    return Number(rate, f"{digits(rate)} /s")


def dollars(amount: float | None) -> Number:
    """`$0.625`; three significant digits, and at least whole cents from one dollar up."""
    if amount is None:
        return UNKNOWN
    return Number(amount, f"${amount:,.2f}" if amount >= 1 else f"${digits(amount)}")


def seconds(value_s: float) -> str:
    """`42 s`, `2.5 s` or `10 min 30 s`."""
    if value_s < 120:
        return f"{plain(value_s)} s"
    whole = round(value_s)
    return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")


def clean(text: object, *, longest: int = _LONGEST) -> str:
    """A text from outside as one printable line: control and direction characters become `�`."""
    shown = str(text)
    if len(shown) > longest:
        shown = shown[: longest - 1] + "…"
    return "".join(_printable(char) for char in shown)


def _printable(char: str) -> str:
    if char in "\t\n\r":
        return " "
    category = unicodedata.category(char)
    if category in {"Cc", "Cs", "Cn", "Zl", "Zp"} or category == "Cf":
        return "�"
    return char
