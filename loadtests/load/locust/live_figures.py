"""What the live view says: the scribe's last word, chosen, put in order and held against limits.

Pure. Status is that of the figures so far; only the verdict at the end knows intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadtests.config import Limits, Slo
from loadtests.order_statistics import min_calls
from loadtests.patterns import DISPLAY_NAMES, PATTERNS

LIMITS: Final = {"p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99", "p999_ms": "p99.9"}
MOST_ERRORS: Final = 10


def live_figures(live: Mapping[str, Any], slo: Slo) -> dict[str, Any]:
    """Rows by access pattern and backend, errors by name, and the generator's health."""
    series = {(s["pattern"], s["backend"]): s for s in live.get("series", ())}
    second = {(s["pattern"], s["backend"]): s for s in live.get("last_second", ())}
    places = sorted({*series, *second}, key=lambda place: (_rank(place[0]), place))
    return {
        "rows": [_row(place, series.get(place), second.get(place, {}), slo) for place in places],
        "errors": _errors(series.values()),
        "health": _health(live.get("signals", ())),
        "processes": [_process(name, seen) for name, seen in live.get("health", {}).items()],
    }


def _rank(pattern: str) -> int:
    return PATTERNS.index(pattern) if pattern in PATTERNS else len(PATTERNS)


def _row(
    place: tuple[str, str], series: Mapping[str, Any] | None, second: Mapping[str, Any], slo: Slo
) -> dict[str, Any]:
    pattern, backend = place
    limits = slo.limits_for(backend, pattern)
    count = series["count"] if series else 0
    errors = sum(series["errors"].values()) if series else 0
    times = (series[f"{limits.metric or 'response_time'}_ms"] if series else None) or {}
    carried = {name: _carried(name, times.get(name), count) for name in LIMITS.values()}
    status, said = _status(carried, errors, count, limits)
    return {
        "pattern": pattern,
        "backend": DISPLAY_NAMES.get(backend, backend),
        "count": count,
        "errors": errors,
        "rate_per_s": second.get("rate_per_s", 0.0),
        "slowest_ms": second.get("max_ms"),
        "p50_ms": carried["p50"],
        "p90_ms": carried["p90"],
        "p99_ms": carried["p99"],
        "status": status,
        "said": said,
    }


def _carried(name: str, value: float | None, count: int) -> float | None:
    """A percentile that these calls can carry; the report holds to the same."""
    return value if count >= min_calls(float(name[1:]) / 100) else None


def _status(
    times: Mapping[str, float | None], errors: int, count: int, limits: Limits
) -> tuple[str, str]:
    over, unknown, within = [], [], []
    for field, name in LIMITS.items():
        limit, value = getattr(limits, field), times[name]
        if limit is None:
            continue
        if value is None:
            unknown.append(f"{name} from {min_calls(float(name[1:]) / 100):,} calls")
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
    # what holds is said in short: the percentiles, or the errors where nothing else is asked
    return ("within", ", ".join(within[:1])) if within else ("unknown", "no limit")


def _errors(series: Any) -> list[str]:
    found = [
        (
            n,
            f"{s['pattern']} on {DISPLAY_NAMES.get(s['backend'], s['backend'])}: "
            f"{name}, {n:,} times",
        )
        for s in series
        for name, n in s["errors"].items()
        if n
    ]
    return [text for _, text in sorted(found, reverse=True)[:MOST_ERRORS]]


def _health(signals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = sorted(map(_signal, signals), key=lambda s: (s["ok"] is None, s["ok"] is True))
    judged = sum(s["ok"] is not None for s in shown)
    beyond = sum(s["ok"] is False for s in shown)
    if not shown:
        said = ""
    elif beyond:
        said = f"{beyond} of {judged} signals beyond the limit: as it stands, this run is INVALID."
    else:
        said = f"All {judged} signals are within their limits."
    return {"ok": beyond == 0, "said": said, "signals": shown}


def _signal(signal: Mapping[str, Any]) -> dict[str, Any]:
    value, limit, unit = signal.get("value"), signal.get("limit"), signal.get("unit", "")
    space = "" if unit.startswith("%") else "\u00a0"
    return {
        "name": signal["name"],
        "found": "–" if value is None else f"{_short(value)}{space}{unit}",
        "limit": "" if limit is None else f"≤ {limit:g}{space}{unit}",
        "ok": signal["ok"] if limit is not None or not signal["ok"] else None,
        "text": signal["text"],
    }


def _process(name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "cpu": f"{100 * seen['cpu']:.0f}%",
        "dispatch_delay": _milliseconds(seen.get("dispatch_delay_p99_ms")),
        "event_loop_delay": _milliseconds(seen.get("event_loop_delay_p99_ms")),
        "heartbeat_delay": _milliseconds(seen.get("heartbeat_delay_max_ms")),
        "free_users": seen["free_users_min"],
    }


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2g}"
