"""The backlog that a warm-up leaves: its arrivals still wait for users when measuring begins.

Measured calls queue behind them, so the figures show the warm-up and not the steady state. A
backlog that is never gone is another matter: the database does not sustain the load, and that is a
result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.signals import Signal

RULE: Final = "warm-up backlog"
BACKLOG_LIMIT_MS: Final = 500.0  # what is shorter is gone within the first second or so
GONE_MS: Final = 50.0  # one stall of the machine may leave as much at any moment
SATURATED: Final = 0.5  # share of the time in which some task waited for a CPU


@dataclass(slots=True)
class WarmUpBacklog:
    """One worker's backlog when measuring began.

    `initial_ms` is the age of the oldest waiting arrival; `gone_after_s` the measured time until
    none was old any more, None while some are. `pressure_cpu` is the warm-up's last second's.
    """

    initial_ms: float = 0.0
    gone_after_s: float | None = None
    pressure_cpu: float | None = None
    _measured_s: float = 0.0

    def add_warm_up(self, row: HealthRow) -> None:
        """Add a second of the warm-up; the last one counts."""
        self.initial_ms, self.pressure_cpu = row.behind_ms, row.pressure_cpu

    def add_measured(self, row: HealthRow) -> None:
        """Add a second of the measured part."""
        self._measured_s += row.length_s
        if self.gone_after_s is None and row.behind_ms <= GONE_MS:
            self.gone_after_s = self._measured_s


def backlog_signals(worker: str, backlog: WarmUpBacklog | None) -> Iterator[Signal]:
    """The signal of a worker's backlog; none where there was no warm-up."""
    if backlog is None:
        return
    initial_ms, gone_after_s = backlog.initial_ms, backlog.gone_after_s
    ok = initial_ms <= BACKLOG_LIMIT_MS or gone_after_s is None
    text = f"The warm-up left {worker} a backlog of {initial_ms / 1e3:.1f} s when measuring began"
    if initial_ms <= BACKLOG_LIMIT_MS:
        text += "."
    elif gone_after_s is None:
        text += ", and it was never gone: the load is not sustained."
    else:
        text += f"; it took {gone_after_s:.0f} s to drain."
    pressure = backlog.pressure_cpu
    if initial_ms > BACKLOG_LIMIT_MS and pressure is not None and pressure > SATURATED:
        text += f" The machine's CPUs were saturated (pressure {pressure:.0%}), the likely cause."
    yield Signal(
        RULE,
        text,
        initial_ms,
        "ms",
        BACKLOG_LIMIT_MS,
        ok,
        worker,
        "Lengthen --warm-up by that time, or lower --rate.",
    )
