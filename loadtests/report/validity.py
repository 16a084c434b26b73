"""The generator's health signals with their limits, as run.json holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.measure.results import Run
from loadtests.report.rounding import clean, digits, plain


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure of the generator's health; `ok` None where no limit applies to it."""

    name: str
    value: str
    limit: str
    ok: bool | None
    words: str = ""


def signals_of(run: Run) -> list[Signal]:
    """Every signal: those with a limit first, then the plain figures.

    `health["signals"]` is a list of {name, text, value, unit, limit, ok}; any other entry is a
    plain figure, or a mapping of the same form under its name.
    """
    judged = list(_judged(run.info.health))
    return sorted(judged, key=lambda s: (s.ok is None, s.ok is True))


def _judged(health: Mapping[str, Any]) -> Iterator[Signal]:
    listed = health.get("signals")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping):
            yield _signal(one, str(one.get("name", "")))
    for name, value in health.items():
        if name == "signals":
            continue
        if isinstance(value, Mapping) and "value" in value:
            yield _signal(value, name)
        elif not isinstance(value, Mapping | list):
            yield Signal(clean(name.replace("_", " ")), _value(value, ""), "", None)


def _signal(one: Mapping[str, Any], name: str) -> Signal:
    unit = clean(one.get("unit") or "")
    limit = one.get("limit")
    ok = one.get("ok")
    return Signal(
        name=clean(name.replace("_", " ")),
        value=_value(one.get("value"), unit),
        limit=f"≤ {_value(limit, unit, exact=True)}" if limit is not None else "",
        ok=ok if isinstance(ok, bool) and (limit is not None or not ok) else None,
        words=clean(one.get("text") or "", longest=400),
    )


def _value(value: Any, unit: str, *, exact: bool = False) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return "not measured"
        shown = plain if exact else digits
        if unit == "share":
            return f"{shown(100 * value)}%"
        number = f"{value:,}" if isinstance(value, int) else shown(value)
        return f"{number}{unit}" if unit.startswith("%") else f"{number} {unit}".rstrip()
    return clean(f"{value} {unit}".rstrip())
