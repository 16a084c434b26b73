"""When a micro-benchmark run does not count: rules on the machine it ran on.

One process makes one call at a time, so nothing queues in it, and the CPU that a client uses is
part of what is measured. Waiting for a CPU that another process uses must not be part of it. The
kernel counts that wait, and it is read around each call. The limits are those of load runs
(`measure.health.validity`): a generator that dispatches a call late and a client that has no CPU
are the same fault.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.validity import (
    DELAY_P50_LIMIT_MS,
    DELAY_P99_LIMIT_MS,
    LATE_NS,
    STEAL_LIMIT,
    TAIL_LIMIT,
    Signal,
)
from loadtests.measure.histogram import Counts
from loadtests.measure.results import Reason, Validity
from loadtests.microbench.machine.reference import round_trip_signal, speed_signal

CLOCK_LIMIT_NS: Final = 1_000
_QUIETER: Final = "Stop what else uses this machine, or use a quieter one, and repeat the run."


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEvidence:
    """What validity is judged on.

    `cpu_wait_ns` is the wait of each judged call for a CPU (None: unknown). `reference_ns` are the
    times of the reference workload, `round_trip_ns` those of bare round trips.
    """

    cpu_wait_ns: Counts | None
    rows: Sequence[HealthRow] = ()
    clock_step_ns: int = 1
    reference_ns: array[int] = field(default_factory=lambda: array("q"))
    round_trip_ns: array[int] = field(default_factory=lambda: array("q"))


def check_machine(evidence: MachineEvidence) -> tuple[list[Signal], Validity]:
    """Every signal, and whether the run counts."""
    signals = [
        *_cpu_wait(evidence.cpu_wait_ns),
        _clock(evidence.clock_step_ns),
        *_steal(evidence.rows),
        *_informative(evidence.rows),
        *speed_signal(evidence.reference_ns),
        *round_trip_signal(evidence.round_trip_ns),
    ]
    reasons = [
        Reason(rule=signal.name, found=signal.text, remedy=signal.remedy)
        for signal in signals
        if not signal.ok
    ]
    return signals, Validity(valid=not reasons, reasons=reasons)


def _cpu_wait(waits: Counts | None) -> list[Signal]:
    if waits is None:
        text = "This system does not tell how long calls waited for a CPU."
        return [Signal(name="CPU wait", text=text, value=None, unit="ms", limit=None, ok=True)]
    if not waits.size:
        return []
    share = float(np.count_nonzero(waits > LATE_NS)) / waits.size
    late = Signal(
        name="late calls",
        text=f"{share:.2%} of the calls waited more than 5 ms for a CPU that others used.",
        value=share * 100,
        unit="%",
        limit=TAIL_LIMIT * 100,
        ok=share <= TAIL_LIMIT,
        remedy=_QUIETER,
    )
    return [
        late,
        _wait_quantile(waits, 0.5, DELAY_P50_LIMIT_MS),
        _wait_quantile(waits, 0.99, DELAY_P99_LIMIT_MS),
    ]


def _wait_quantile(waits: Counts, q: float, limit_ms: float) -> Signal:
    wait_ms = float(np.quantile(waits, q, method="inverted_cdf")) / 1e6
    name = f"CPU wait p{q * 100:g}"
    return Signal(
        name=name,
        text=f"{name} was {wait_ms:.3f} ms: calls were ready to run that long and had no CPU.",
        value=wait_ms,
        unit="ms",
        limit=limit_ms,
        ok=wait_ms <= limit_ms,
        remedy=_QUIETER,
    )


def _clock(step_ns: int) -> Signal:
    return Signal(
        name="clock",
        text=f"The clock counts in steps of {step_ns:,} ns.",
        value=step_ns,
        unit="ns",
        limit=CLOCK_LIMIT_NS,
        ok=step_ns <= CLOCK_LIMIT_NS,
        remedy="Use another machine.",
    )


def _steal(rows: Sequence[HealthRow]) -> list[Signal]:
    shares = [row.host_steal for row in rows if row.host_steal is not None]
    if not shares:
        return []
    share = sum(shares) / len(shares)
    steal = Signal(
        name="stolen CPU",
        text=f"The hypervisor kept {share:.1%} of the CPU from this machine.",
        value=share * 100,
        unit="%",
        limit=STEAL_LIMIT * 100,
        ok=share <= STEAL_LIMIT,
        remedy=_QUIETER,
    )
    return [steal]


def _informative(rows: Sequence[HealthRow]) -> list[Signal]:
    """Figures without a limit."""
    if not rows:
        return []
    longest_ms = max(row.gc_pause_max_ms for row in rows)
    signals = [
        Signal(
            name="GC pause",
            text=f"The longest garbage collection took {longest_ms:.1f} ms.",
            value=longest_ms,
            unit="ms",
            limit=None,
            ok=True,
        )
    ]
    pressures = [row.pressure_cpu for row in rows if row.pressure_cpu is not None]
    if pressures:
        share = sum(pressures) / len(pressures)
        text = f"Some task of this machine waited for a CPU {share:.0%} of the time."
        signals.append(
            Signal(name="CPU pressure", text=text, value=share * 100, unit="%", limit=None, ok=True)
        )
    return signals


def clock_step_ns(readings: int = 1_000) -> int:
    """The smallest step seen of the clock that times calls."""
    steps = []
    before = time.perf_counter_ns()
    for _ in range(readings):
        now = time.perf_counter_ns()
        if now > before:
            steps.append(now - before)
        before = now
    return min(steps, default=CLOCK_LIMIT_NS * 1_000)
