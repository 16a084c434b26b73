"""The verdict in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from loadtests.judge.slo import Limit
from loadtests.measure.results import LimitVerdict, Status
from loadtests.patterns import ALL_PATTERNS

SHOWN: Final = 3  # limits named in the run's sentence
LONGEST_S: Final = 6 * 3600.0  # a longer run is not worth advising


def limit_sentence(
    limit: Limit, status: Status, bounds: tuple[float, float, float], calls: int, needed: int | None
) -> str:
    """One limit's sentence; `bounds` are low, estimate and high in the limit's unit."""
    low, estimate, high = bounds
    found = f"{_shown(limit, estimate)} [{_shown(limit, low, bare=True)}, "
    found += f"{_shown(limit, high, bare=True) if math.isfinite(high) else 'unbounded'}]"
    what = f"{limit.backend} {limit.pattern} {_named(limit)}"
    allowed = _shown(limit, limit.limit)
    if status == "PASS":
        return f"{what} is {found}, within {allowed}."
    if status == "FAIL":
        return f"{what} is {found}, beyond {allowed}."
    if status == "INVALID":
        return f"{what} is {found} against {allowed}; the run does not count."
    takes = f"; it takes about {needed:,}" if needed and needed < 1000 * calls else ""
    if not math.isfinite(high):
        return f"{what} cannot be bounded with {calls:,} calls{takes}."
    return f"{what} is {found}, across {allowed} with {calls:,} calls{takes}."


def run_sentence(
    status: Status,
    limits: Sequence[LimitVerdict],
    reasons: Sequence[str],
    confidence: float,
    needed_s: float | None,
) -> str:
    """The run's sentence, naming at most three limits."""
    if status == "INVALID":
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"INVALID: {reasons[0]}{more}"
    deciding = [one for one in limits if one.decides or one.status == "FAIL"]
    if status == "PASS":
        left = sum(one.status != "PASS" for one in limits if not one.decides)
        return f"PASS: all {len(deciding)} limits hold at {confidence:.0%} confidence." + (
            f" {left} of single access patterns against the baseline stay open, within it together."
            if left
            else ""
        )
    named = [one for one in deciding if one.status == status]
    named.sort(key=lambda one: one.pattern != ALL_PATTERNS)  # what says most comes first
    text = " ".join(one.sentence for one in named[:SHOWN])
    more = f" And {len(named) - SHOWN} more." if len(named) > SHOWN else ""
    verb = "broken" if status == "FAIL" else "undecided"
    takes = ""
    if status == "INCONCLUSIVE" and needed_s:
        takes = f" About {needed_s:,.0f} measured seconds would decide."
        if needed_s > LONGEST_S:
            takes = " A figure so near its limit is not decided by a longer run."
    return f"{status}: {len(named)} of {len(deciding)} limits {verb}: {text}{more}{takes}"


def not_compared(name: str, refused: Sequence[str]) -> str:
    """What is added where the only baseline was made under other conditions."""
    if not refused:
        return ""
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return f" Not held against baseline {name}, made otherwise: {refused[0]}{more}."


def _named(limit: Limit) -> str:
    if limit.kind == "error_rate":
        return "error rate"
    name = f"{limit.percentile} {limit.metric.replace('_', ' ')}"
    return f"{name} against the baseline" if limit.unit == "ratio" else name


def _shown(limit: Limit, value: float, *, bare: bool = False) -> str:
    if limit.unit == "ms":
        return three_digits(value) + ("" if bare else " ms")
    if limit.unit == "share":
        return f"{100 * value:.3g}%"
    return f"{100 * (value - 1):+.1f}%"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.412, 9.81, 1230."""
    if value <= 0 or not math.isfinite(value):
        return "0" if value <= 0 else "unbounded"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
