"""The sentences of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from loadtests.judge.slo import Limit
from loadtests.measure.results import LimitVerdict, Status
from loadtests.patterns import ALL_PATTERNS

MAX_SHOWN: Final = 3  # limits named in the run's sentence
MAX_ADVISED_S: Final = 6 * 3600.0  # the longest run that is advised
MAX_ADVISED_GROWTH: Final = 1000  # times the calls of the run


def limit_sentence(
    limit: Limit,
    status: Status,
    bounds: tuple[float, float, float],
    calls: int,
    needed_calls: int | None,
) -> str:
    """The sentence of one limit; `bounds` are low, estimate and high in the limit's unit."""
    low, estimate, high = bounds
    upper = _format(limit, high, with_unit=False) if math.isfinite(high) else "unbounded"
    lower = _format(limit, low, with_unit=False)
    interval = f"{_format(limit, estimate)} [{lower}, {upper}]"
    subject = f"{limit.backend} {limit.pattern} {_statistic(limit)}"
    allowed = _format(limit, limit.limit)
    if status == "PASS":
        return f"{subject} is {interval}, within {allowed}."
    if status == "FAIL":
        return f"{subject} is {interval}, above {allowed}."
    if status == "INVALID":
        return f"{subject} is {interval}, limit {allowed}; the run is invalid."
    advised = needed_calls is not None and 0 < needed_calls < MAX_ADVISED_GROWTH * calls
    needed = f"; about {needed_calls:,} are needed" if advised else ""
    if not math.isfinite(high):
        return f"{subject} has no upper bound with {calls:,} calls{needed}."
    return f"{subject} is {interval}, undecided against {allowed} with {calls:,} calls{needed}."


def run_sentence(
    status: Status,
    limits: Sequence[LimitVerdict],
    reasons: Sequence[str],
    confidence: float,
    needed_s: float | None,
) -> str:
    """The sentence of the run, naming at most three limits."""
    if status == "INVALID":
        return invalid_sentence(reasons)
    deciding = [limit for limit in limits if limit.decides or limit.status == "FAIL"]
    if status == "PASS":
        undecided = sum(limit.status != "PASS" for limit in limits if not limit.decides)
        text = f"PASS: all {len(deciding)} limits hold at {confidence:.0%} confidence."
        if undecided:
            text += (
                f" {undecided} baseline limits of single access patterns are undecided; over all"
                " patterns they hold."
            )
        return text
    named = [limit for limit in deciding if limit.status == status]
    named.sort(key=lambda limit: limit.pattern != ALL_PATTERNS)  # overall limits first
    sentences = " ".join(limit.sentence for limit in named[:MAX_SHOWN])
    more = f" And {len(named) - MAX_SHOWN} more." if len(named) > MAX_SHOWN else ""
    adjective = "broken" if status == "FAIL" else "undecided"
    text = f"{status}: {len(named)} of {len(deciding)} limits {adjective}: {sentences}{more}"
    return text + (_advice(needed_s) if status == "INCONCLUSIVE" and needed_s else "")


def invalid_sentence(reasons: Sequence[str]) -> str:
    """The sentence of an invalid run or comparison: the first reason, and how many more."""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"INVALID: {reasons[0]}{more}"


def _advice(needed_s: float) -> str:
    if needed_s > MAX_ADVISED_S:
        return " The figure is too near its limit for a longer run to decide."
    return f" About {needed_s:,.0f} measured seconds would decide."


def not_compared(name: str, refused: Sequence[str]) -> str:
    """The addition for a baseline that was measured under other conditions; empty otherwise."""
    if not refused:
        return ""
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return (
        f" Not compared with baseline {name}, measured under other conditions: {refused[0]}{more}."
    )


def _statistic(limit: Limit) -> str:
    if limit.kind == "error_rate":
        return "error rate"
    name = f"{limit.percentile} {limit.metric.replace('_', ' ')}"
    return f"{name} against the baseline" if limit.kind == "relative" else name


def _format(limit: Limit, value: float, *, with_unit: bool = True) -> str:
    if limit.kind == "absolute":
        return three_digits(value) + (" ms" if with_unit else "")
    if limit.kind == "error_rate":
        return f"{100 * value:.3g}%"
    return f"{100 * (value - 1):+.1f}%"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.412, 9.81, 1230."""
    if value <= 0 or not math.isfinite(value):
        return "0" if value <= 0 else "unbounded"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
