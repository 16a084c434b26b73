"""The load generator's health signals as a report shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtests.measure.health.signals import Signal
from loadtests.measure.results import Run
from loadtests.report.figures.rounding import clean, digits, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    """One signal in words; `ok` is None where it has no limit."""

    name: str
    value: str
    limit: str
    ok: bool | None
    text: str

    @property
    def state(self) -> str:
        """Whether the signal is within its limit."""
        return {True: "✓\u00a0within", False: "✗\u00a0beyond", None: "no limit"}[self.ok]


def signal_rows(run: Run) -> list[SignalRow]:
    """Every signal: those beyond their limit first, then those within, then those without one."""
    rows = [_row(signal) for signal in run.info.health.signals]
    return sorted(rows, key=lambda row: (row.ok is None, row.ok is True))


def _row(signal: Signal) -> SignalRow:
    unit = clean(signal.unit)
    has_limit = signal.limit is not None
    return SignalRow(
        name=clean(signal.name.replace("_", " ")),
        value=_figure(signal.value, unit),
        limit=f"≤ {_figure(signal.limit, unit, exact=True)}" if has_limit else "",
        ok=signal.ok if has_limit or not signal.ok else None,
        text=clean(signal.text, longest=400),
    )


def _figure(value: float | None, unit: str, *, exact: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return "not measured"
    shown = plain if exact else digits
    if unit == "share":
        return f"{shown(100 * value)}%"
    number = f"{value:,}" if isinstance(value, int) else shown(value)
    return f"{number}{unit}" if unit.startswith("%") else f"{number} {unit}".rstrip()
