"""The content of the live view: the scribe's latest figures, sorted and checked against the limits.

Pure. A status is that of the figures so far; only the verdict after the run considers their
confidence intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict

from loadtests.config import Limits, Slo
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.validity import DELAY_RULES
from loadtests.measure.messages import LastSecond, LiveFigures, ProcessSecond
from loadtests.measure.results import SeriesInfo, StallInfo
from loadtests.order_statistics import min_calls
from loadtests.patterns import DISPLAY_NAMES, in_order

LIMITS: Final = {"p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "p999_ms": "p99.9"}
MAX_ERRORS: Final = 10


class SeriesView(TypedDict):
    """One row of the table of access patterns; `status` is over, within or unknown."""

    pattern: str
    backend: str
    count: int
    errors: int
    rate_per_s: float
    slowest_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    status: str
    detail: str


class SignalView(TypedDict):
    """One health signal; `ok` is None where there is no limit."""

    name: str
    value: str
    limit: str
    ok: bool | None
    text: str


class HealthView(TypedDict):
    """All health signals, those beyond their limits first."""

    ok: bool
    summary: str
    signals: list[SignalView]


class ProcessView(TypedDict):
    """One load process in its last second."""

    name: str
    cpu: str
    dispatch_delay: str
    event_loop_delay: str
    heartbeat_delay: str
    free_users: int


class StallsView(TypedDict):
    """Stalls of the machine so far; `throttled` is empty where nothing was held back."""

    text: str
    throttled: str


class FiguresView(TypedDict):
    """The tables of the live view; `stalls` is None where stalls are not measured."""

    rows: list[SeriesView]
    errors: list[str]
    health: HealthView
    stalls: StallsView | None
    processes: list[ProcessView]


def live_figures(
    live: LiveFigures | None, slo: Slo, declared: Sequence[str] | None = None
) -> FiguresView:
    """Rows by access pattern and backend, errors by name, and the generator's health.

    `declared` are the access patterns in the order of the scenario.
    """
    if live is None:
        return {
            "rows": [],
            "errors": [],
            "health": _health(()),
            "stalls": None,
            "processes": [],
        }
    series = {(each.pattern, each.backend): each for each in live.series}
    seconds = {(each.pattern, each.backend): each for each in live.last_second}
    names = {*series, *seconds}
    patterns = in_order({pattern for pattern, _ in names}, declared)
    ordered = sorted(names, key=lambda name: (patterns.index(name[0]), name[1]))
    return {
        "rows": [_row(*name, series.get(name), seconds.get(name), slo) for name in ordered],
        "errors": _errors(live.series),
        "health": _health(live.signals),
        "stalls": _stalls(live.stalls),
        "processes": [_process(name, second) for name, second in live.processes.items()],
    }


def _row(
    pattern: str, backend: str, series: SeriesInfo | None, second: LastSecond | None, slo: Slo
) -> SeriesView:
    limits = slo.limits_for(backend, pattern)
    count = series.count if series else 0
    errors = sum(series.errors.values()) if series else 0
    resolvable = _resolvable_ms(series, limits.metric or "response_time")
    status, detail = _status(resolvable, errors, count, limits)
    return {
        "pattern": pattern,
        "backend": DISPLAY_NAMES.get(backend, backend),
        "count": count,
        "errors": errors,
        "rate_per_s": second.rate_per_s if second else 0.0,
        "slowest_ms": second.max_ms if second else None,
        "p50_ms": resolvable.get("p50"),
        "p90_ms": resolvable.get("p90"),
        "p99_ms": resolvable.get("p99"),
        "status": status,
        "detail": detail,
    }


def _resolvable_ms(series: SeriesInfo | None, metric: str) -> dict[str, float]:
    """The percentiles that have enough calls for an upper bound, as in the report."""
    times = series.times(metric) if series else None
    if series is None or times is None:
        return {}
    values = {"p50": times.p50, "p90": times.p90, "p99": times.p99, "p99.9": times.p999}
    return {name: ms for name, ms in values.items() if series.count >= _needed_calls(name)}


def _needed_calls(percentile: str) -> int:
    return min_calls(float(percentile[1:]) / 100)


def _status(
    resolvable: dict[str, float], errors: int, count: int, limits: Limits
) -> tuple[str, str]:
    over, unknown, within = [], [], []
    for field, name in LIMITS.items():
        limit, value = getattr(limits, field), resolvable.get(name)
        if limit is None:
            continue
        if value is None:
            unknown.append(f"{name} from {_needed_calls(name):,} calls")
        elif value > limit:
            over.append(f"{name} > {limit:g} ms")
        else:
            within.append(f"{name} ≤ {limit:g} ms")
    if limits.error_rate is not None and count:
        beyond = errors / count > limits.error_rate
        (over if beyond else within).append(
            f"errors {'>' if beyond else '≤'} {100 * limits.error_rate:g}%"
        )
    if over:
        return "over", ", ".join(over)
    if unknown:
        return "unknown", ", ".join(unknown)
    # one limit is enough to show: a percentile, or the errors where nothing else is limited
    return ("within", within[0]) if within else ("unknown", "no limit")


def _errors(series: Iterable[SeriesInfo]) -> list[str]:
    lines = [
        (
            count,
            f"{each.pattern} on {DISPLAY_NAMES.get(each.backend, each.backend)}: "
            f"{name}, {count:,} times",
        )
        for each in series
        for name, count in each.errors.items()
        if count
    ]
    return [text for _, text in sorted(lines, reverse=True)[:MAX_ERRORS]]


def _health(signals: Sequence[Signal]) -> HealthView:
    views = sorted(map(_signal, signals), key=lambda view: (view["ok"] is None, view["ok"] is True))
    limited = sum(view["ok"] is not None for view in views)
    beyond = sum(view["ok"] is False for view in views)
    if not views:
        summary = ""
    elif beyond:
        delays = all(view["name"] in DELAY_RULES for view in views if view["ok"] is False)
        meaning = (
            "only delay was added, so limits that hold still count, and FAIL is ruled out."
            if delays
            else "so far, this run is INVALID."
        )
        summary = f"{beyond} of {limited} signals beyond the limit: {meaning}"
    else:
        summary = f"All {limited} signals are within their limits."
    return {"ok": beyond == 0, "summary": summary, "signals": views}


def _stalls(stalls: StallInfo | None) -> StallsView | None:
    if stalls is None:
        return None
    seen = f"{stalls.stalls:,} stalls of the machine"
    longest = f", the longest {stalls.longest_ms:.1f} ms" if stalls.stalls else ""
    throttled = ""
    if stalls.throttled_ms:
        throttled = (
            f"The CPU limit of the control group held the load back for "
            f"{stalls.throttled_ms:,.0f} ms; that is not left out."
        )
    return {
        "text": f"{seen}{longest}; {100 * stalls.left_out:.1f}% of the calls are left out.",
        "throttled": throttled,
    }


def _signal(signal: Signal) -> SignalView:
    space = "" if signal.unit.startswith("%") else "\u00a0"
    value = "–" if signal.value is None else f"{_short(signal.value)}{space}{signal.unit}"
    limit = "" if signal.limit is None else f"≤ {signal.limit:g}{space}{signal.unit}"
    return {
        "name": signal.name,
        "value": value,
        "limit": limit,
        "ok": signal.ok if signal.limit is not None or not signal.ok else None,
        "text": signal.text,
    }


def _process(name: str, second: ProcessSecond) -> ProcessView:
    return {
        "name": name,
        "cpu": f"{100 * second.cpu:.0f}%",
        "dispatch_delay": _milliseconds(second.dispatch_delay_p99_ms),
        "event_loop_delay": _milliseconds(second.event_loop_delay_p99_ms),
        "heartbeat_delay": _milliseconds(second.heartbeat_delay_max_ms),
        "free_users": second.free_users_min,
    }


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2g}"
