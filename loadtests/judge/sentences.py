"""The sentences of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from loadtests.judge.run_samples import MAX_LEFT_OUT
from loadtests.judge.slo import Limit
from loadtests.measure.results import PERCENTILES, Bounds, LimitVerdict, Status
from loadtests.patterns import ALL_PATTERNS

SECONDS_FROM_MS: Final = 10_000.0  # times are shown in seconds from here on
MAX_SHOWN: Final = 3  # limits named in the run's sentence
MAX_ADVISED_S: Final = 6 * 3600.0  # the longest run that is advised
MAX_ADVISED_GROWTH: Final = 1000  # times the calls of the run


def limit_sentence(
    limit: Limit,
    status: Status,
    bounds: tuple[float, float, float],
    calls: int,
    needed_calls: int | None,
    *,
    calls_judged: str = "",
    left_out: float | None = None,
    delayed: bool = False,
    in_this_run: Bounds | None = None,
) -> str:
    """The sentence of one limit; `bounds` are low, estimate and high in the limit's unit.

    `calls_judged` says which calls they are of, where some were left out. `left_out` is their share
    where it exceeds the budget. `delayed`: beyond the limit, though perhaps by the generator.
    `in_this_run` is the share of calls beyond the limit, where that decides.
    """
    high = bounds[2]
    interval = _interval(limit, *bounds)
    where = f" {calls_judged}" * bool(calls_judged)
    subject = f"{limit.backend} {limit.pattern} {_statistic(limit)}"
    allowed = _format(limit, limit.limit)
    if in_this_run is not None:
        return _broken_in_this_run(limit, in_this_run, interval, where)
    if status == "INCONCLUSIVE" and left_out is None:
        advised = needed_calls is not None and 0 < needed_calls < MAX_ADVISED_GROWTH * calls
        needed = f"; about {needed_calls:,} are needed" if advised else ""
        if not math.isfinite(high):
            return f"{subject}{where} has no upper bound with {calls:,} calls{needed}."
        ending = f"undecided against {allowed} with {calls:,} calls{needed}."
        return f"{subject} is {interval}{where}, {ending}"
    endings = {
        "PASS": f"within {allowed}.",
        "FAIL": f"above {allowed}.",
        "INVALID": f"limit {allowed}; the run is invalid.",
        "INCONCLUSIVE": f"undecided against {allowed}: {stalled_too_often(left_out or 0.0)}",
    }
    if status == "INVALID" and delayed:
        ending = f"above {allowed}, but the generator's own delay may be the cause."
        return f"{subject} is {interval}{where}, {ending}"
    return f"{subject} is {interval}{where}, {endings[status]}"


def _broken_in_this_run(limit: Limit, beyond: Bounds, interval: str, where: str) -> str:
    """That the run broke its limit grossly, which says nothing about other runs."""
    low, high = (100 * (bound or 0.0) for bound in (beyond.low, beyond.high))
    allowed = 1.0 - PERCENTILES[limit.percentile or "p99"]
    return (
        f"{limit.backend} {limit.pattern} took longer than {_format(limit, limit.limit)} in"
        f" {beyond.estimate:.1%} [{low:.1f}%, {high:.1f}%] of this run's calls{where}; its"
        f" {limit.percentile} allows {100 * allowed:.3g}%. For other runs its {limit.percentile},"
        f" {interval}, is undecided."
    )


def stalled_too_often(left_out: float) -> str:
    """Why undisturbed calls decide nothing."""
    return (
        f"the machine stalled too often: {left_out:.0%} of the calls are left out, at most"
        f" {MAX_LEFT_OUT:.0%} may be."
    )


def run_sentence(
    status: Status,
    limits: Sequence[LimitVerdict],
    reasons: Sequence[str],
    confidence: float,
    needed_s: float | None,
    left_out: float | None = None,
) -> str:
    """The sentence of the run; `left_out` is the share of calls that stalls may have touched."""
    deciding = [limit for limit in limits if limit.decides or limit.status == "FAIL"]
    if status == "INVALID":
        return _invalid_run(limits, reasons)
    if status == "PASS":
        undecided = sum(limit.status != "PASS" for limit in limits if not limit.decides)
        text = f"PASS: all {len(deciding)} limits hold at {confidence:.0%} confidence."
        if undecided:
            text += (
                f" {undecided} baseline limits of single access patterns are undecided; over all"
                " patterns they hold."
            )
        return text + _calls_judged(deciding, left_out or 0.0)
    named = [limit for limit in deciding if limit.status == status]
    named.sort(key=lambda limit: limit.pattern != ALL_PATTERNS)  # overall limits first
    count = f"{len(named)} of {len(deciding)} limits"
    if status == "INCONCLUSIVE":
        return f"INCONCLUSIVE: {count} undecided: {_why_undecided(named, needed_s, left_out)}"
    sentences = " ".join(limit.sentence for limit in named[:MAX_SHOWN])
    more = f" And {len(named) - MAX_SHOWN} more." if len(named) > MAX_SHOWN else ""
    return f"{status}: {count} broken: {sentences}{more}"


def _invalid_run(limits: Sequence[LimitVerdict], reasons: Sequence[str]) -> str:
    """How many limits cannot be judged, the first reason and its remedy."""
    count = sum(limit.status == "INVALID" for limit in limits)
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    judged = f"{count} of {len(limits)} limits cannot be judged: " if limits else ""
    return f"INVALID: {judged}{reasons[0]}{more}"


def _calls_judged(deciding: Sequence[LimitVerdict], left_out: float) -> str:
    """On which calls the limits hold, where some were left out."""
    undisturbed = sum(limit.basis == "undisturbed" for limit in deciding)
    if undisturbed:
        return f" {undisturbed} of them {undisturbed_words(1 - left_out)}."
    return " They hold for all calls, disturbed ones included." if left_out else ""


def _why_undecided(
    named: Sequence[LimitVerdict], needed_s: float | None, left_out: float | None
) -> str:
    """The main reason, and what to do."""
    if left_out is not None and left_out > MAX_LEFT_OUT:
        return f"{stalled_too_often(left_out)} Repeat the run on a quieter machine."
    worst = max(named, key=lambda limit: (limit.needed_calls or 0) / limit.calls)
    return worst.sentence + (_advice(needed_s) if needed_s else "")


def invalid_sentence(reasons: Sequence[str]) -> str:
    """The sentence of an invalid comparison: the first reason, and how many more."""
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


def _interval(limit: Limit, low: float, estimate: float, high: float) -> str:
    """The estimate with its unit, and its bounds in the same unit."""
    if limit.kind != "absolute":
        upper = _format(limit, high) if math.isfinite(high) else "unbounded"
        return f"{_format(limit, estimate)} [{_format(limit, low)}, {upper}]"
    # from ten seconds on, milliseconds have more digits than are significant
    per_unit, unit = (1e3, "s") if estimate >= SECONDS_FROM_MS else (1.0, "ms")
    figures = (three_digits(value / per_unit) for value in (estimate, low, high))
    return "{} {unit} [{}, {}]".format(*figures, unit=unit)


def _format(limit: Limit, value: float) -> str:
    if limit.kind == "absolute":
        return f"{three_digits(value)} ms"
    if limit.kind == "error_rate":
        return f"{100 * value:.3g}%"
    return f"{100 * (value - 1):+.1f}%"


def share_words(share: float) -> str:
    """A share in percent: `93%`, and near 1 without a false 100%, `99.73%`."""
    if share <= 0.99 or share >= 1.0:
        return f"{share:.0%}"
    return f"{math.floor(round(share * 1e4, 6)) / 100:.2f}%"  # 0.9996 * 1e4 may be a little less


def undisturbed_words(share: float) -> str:
    """`on 93% of calls, undisturbed by the machine`."""
    return f"on {share_words(share)} of calls, undisturbed by the machine"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent: 0.412, 9.81, 1230."""
    if value <= 0 or not math.isfinite(value):
        return "0" if value <= 0 else "unbounded"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
