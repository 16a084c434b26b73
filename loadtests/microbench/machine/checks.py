"""When a micro-benchmark run does not count: rules on the machine it ran on.

One process makes one call at a time, so nothing queues in it, and the CPU that a client burns is
part of what is measured. What must not be part of it is waiting for a CPU that somebody else uses.
The kernel tells how long that was within each call. The limits are those of load runs
(`measure.validity`): a generator that hands a call over late and a client that is not let run are
the same fault.
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


@dataclass(slots=True)
class MachineEvidence:
    """What validity is judged on: judged calls' wait for a CPU (None: not told), health rows.

    `reference_ns` are the times of `yardstick.work`, `round_trip_ns` those of bare round trips.
    """

    cpu_wait_ns: Counts | None
    rows: list[HealthRow] = field(default_factory=list)
    clock_step_ns: int = 1
    reference_ns: array[int] = field(default_factory=lambda: array("q"))
    round_trip_ns: array[int] = field(default_factory=lambda: array("q"))


def check_machine(evidence: MachineEvidence) -> tuple[list[Signal], Validity]:
    """Every signal, and whether the run counts."""
    signals = [
        *_cpu_wait(evidence.cpu_wait_ns),
        _clock(evidence.clock_step_ns),
        *_steal(evidence.rows),
        *_told(evidence.rows),
        *speed_signal(evidence.reference_ns),
        *round_trip_signal(evidence.round_trip_ns),
    ]
    reasons = [Reason(rule=s.name, found=s.text, remedy=s.remedy) for s in signals if not s.ok]
    return signals, Validity(valid=not reasons, reasons=reasons)


def _cpu_wait(waits: Counts | None) -> list[Signal]:
    if waits is None:
        text = "This system does not tell how long calls waited for a CPU."
        return [Signal("CPU wait", text, None, "ms", None, True)]
    if not waits.size:
        return []
    share = float(np.count_nonzero(waits > LATE_NS)) / waits.size
    text = f"{share:.2%} of the calls waited more than 5 ms for a CPU that others used."
    late = Signal(
        "late calls", text, share * 100, "%", TAIL_LIMIT * 100, share <= TAIL_LIMIT, "", _QUIETER
    )
    return [
        late,
        _wait_quantile(waits, 0.5, DELAY_P50_LIMIT_MS),
        _wait_quantile(waits, 0.99, DELAY_P99_LIMIT_MS),
    ]


def _wait_quantile(waits: Counts, q: float, limit_ms: float) -> Signal:
    value = float(np.quantile(waits, q, method="inverted_cdf")) / 1e6
    name = f"CPU wait p{q * 100:g}"
    text = f"{name} was {value:.3f} ms: so long calls were ready to go on and had no CPU."
    return Signal(name, text, value, "ms", limit_ms, value <= limit_ms, "", _QUIETER)


def _clock(step_ns: int) -> Signal:
    text = f"The clock counts in steps of {step_ns:,} ns."
    ok = step_ns <= CLOCK_LIMIT_NS
    return Signal("clock", text, step_ns, "ns", CLOCK_LIMIT_NS, ok, "", "Use another machine.")


def _steal(rows: Sequence[HealthRow]) -> list[Signal]:
    shares = [row.host_steal for row in rows if row.host_steal is not None]
    if not shares:
        return []
    share = sum(shares) / len(shares)
    text = f"The hypervisor kept {share:.1%} of the CPU from this machine."
    limit = STEAL_LIMIT * 100
    return [Signal("stolen CPU", text, share * 100, "%", limit, share <= STEAL_LIMIT, "", _QUIETER)]


def _told(rows: Sequence[HealthRow]) -> list[Signal]:
    """Figures without a limit."""
    if not rows:
        return []
    longest = max(row.gc_pause_max_ms for row in rows)
    text = f"The longest garbage collection took {longest:.1f} ms."
    told = [Signal("GC pause", text, longest, "ms", None, True)]
    pressures = [row.pressure_cpu for row in rows if row.pressure_cpu is not None]
    if pressures:
        share = sum(pressures) / len(pressures)
        text = f"Some task of this machine waited for a CPU {share:.0%} of the time."
        told.append(Signal("CPU pressure", text, share * 100, "%", None, True))
    return told


def clock_step_ns(looks: int = 1_000) -> int:
    """The smallest step seen of the clock that times calls."""
    steps = []
    before = time.perf_counter_ns()
    for _ in range(looks):
        now = time.perf_counter_ns()
        if now > before:
            steps.append(now - before)
        before = now
    return min(steps, default=CLOCK_LIMIT_NS * 1_000)
