"""When a run does not count: rules on the generator's health, each with its reason and remedy.

The question each rule answers is what share of the reported time could be the generator's own. Up
to a quarter of the calls beyond p99 may have been touched by it; more, and the p99 could be its.
Slowness of the database breaks no rule: waiting for a busy user counts against the generator only
when there were too few users for a database that keeps its promise. `docs/MEASUREMENT.md` explains
the limits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadtests.measure.health import HealthRow
from loadtests.measure.histogram import Histogram, lowest_value_ns
from loadtests.measure.results import Reason, Validity

CPU_LIMIT: Final = 0.90
LATENESS_P50_LIMIT_MS: Final = 0.5
LATENESS_P99_LIMIT_MS: Final = 2.0
TAIL_LIMIT: Final = 0.0025  # a quarter of the 1% beyond p99
LATE_NS: Final = 5_000_000
QUEUED_LIMIT: Final = 0.001
PROMISE_S: Final = 0.010  # a database that keeps its promise frees a user this fast
STEAL_LIMIT: Final = 0.10


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing watched: what was found against its limit. `limit` None means only informative."""

    name: str
    text: str
    value: float | None
    unit: str
    limit: float | None
    ok: bool
    worker: str = ""
    remedy: str = ""


@dataclass(slots=True)
class Evidence:
    """All that validity is judged on: measured seconds only, by worker."""

    rows: dict[str, list[HealthRow]] = field(default_factory=dict)
    lateness: dict[str, Histogram] = field(default_factory=dict)
    rate_per_s: dict[str, float] = field(default_factory=dict)  # each worker's share, all lanes
    lost: list[str] = field(default_factory=list)


def judge_validity(evidence: Evidence) -> tuple[list[Signal], Validity]:
    """Every signal, worst worker of each, and whether the run counts."""
    signals = [
        *_lost(evidence),
        _worst(evidence, _cpu),
        _worst(evidence, _late_arrivals),
        _worst(evidence, _lateness(0.5, LATENESS_P50_LIMIT_MS)),
        _worst(evidence, _lateness(0.99, LATENESS_P99_LIMIT_MS)),
        _worst(evidence, _stalled),
        _worst(evidence, _users),
        _worst(evidence, _steal),
        _worst(evidence, _gc),
        _worst(evidence, _pressure),
        _worst(evidence, _invalid_responses),
    ]
    found = [signal for signal in signals if signal is not None]
    reasons = [Reason(rule=s.name, found=s.text, remedy=s.remedy) for s in found if not s.ok]
    return found, Validity(valid=not reasons, reasons=reasons)


def signals_as_data(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """For run.json: health.signals."""
    return [
        {"name": s.name, "text": s.text, "value": s.value, "unit": s.unit, "limit": s.limit}
        | {"ok": s.ok}
        for s in signals
    ]


Rule = Callable[[str, Evidence], Signal | None]


def _worst(evidence: Evidence, rule: Rule) -> Signal | None:
    signals = [signal for worker in evidence.rows if (signal := rule(worker, evidence))]
    return max(signals, key=lambda s: (not s.ok, s.value or 0.0), default=None)


def _lost(evidence: Evidence) -> list[Signal]:
    if not evidence.rows:
        text = "No second of the run was measured: it ended within its warm-up."
        remedy = "Run longer (--run-time) or shorten --warm-up."
        return [Signal("measured seconds", text, 0, "s", 1, False, "", remedy)]
    if not any(map(_saw_a_call, itertools.chain.from_iterable(evidence.rows.values()))):
        text = "Not one call was due in the measured part of the run."
        remedy = "Run longer (--run-time) or raise --rate."
        return [Signal("measured calls", text, 0, "calls", 1, False, "", remedy)]
    return [
        Signal("lost worker", f"{worker} stopped reporting.", 1, "workers", 0, False, worker,
               "Look at that worker's log and repeat the run.")
        for worker in evidence.lost
    ]  # fmt: skip


def _saw_a_call(row: HealthRow) -> bool:
    # a call that waits or hangs is the database's doing and counts
    return row.offered > 0 or row.in_flight > 0 or row.behind_ms > 0


def _cpu(worker: str, evidence: Evidence) -> Signal:
    used = _mean(evidence.rows[worker], lambda row: row.process_cpu)
    processes = len(evidence.rows) * max(2, math.ceil(used / 0.5))
    return Signal(
        "generator CPU",
        f"{worker} used {used:.0%} of a core.",
        used * 100,
        "% of a core",
        CPU_LIMIT * 100,
        used <= CPU_LIMIT,
        worker,
        f"Lower --rate or add --processes {processes}.",
    )


def _late_arrivals(worker: str, evidence: Evidence) -> Signal | None:
    lateness = evidence.lateness.get(worker)
    if lateness is None or not lateness.total:
        return None
    counted = lateness.sparse()
    late = int(counted.counts[lowest_value_ns(counted.index) > LATE_NS].sum())
    share = late / lateness.total
    return Signal(
        "late arrivals",
        f"{worker} handed over {share:.2%} of the arrivals more than 5 ms late,"
        " though users were free.",
        share * 100,
        "%",
        TAIL_LIMIT * 100,
        share <= TAIL_LIMIT,
        worker,
        "Give the generator a core of its own, lower --rate or add --processes.",
    )


def _lateness(quantile: float, limit_ms: float) -> Rule:
    def rule(worker: str, evidence: Evidence) -> Signal | None:
        lateness = evidence.lateness.get(worker)
        if lateness is None or not lateness.total:
            return None
        value = lateness.quantile_ns(quantile) / 1e6
        name = f"lateness p{quantile * 100:g}"
        return Signal(
            name,
            f"{worker}'s {name} was {value:.2f} ms: arrivals waited, though users were free.",
            value,
            "ms",
            limit_ms,
            value <= limit_ms,
            worker,
            "Give the generator a core of its own, lower --rate or add --processes.",
        )

    return rule


def _stalled(worker: str, evidence: Evidence) -> Signal:
    rows = evidence.rows[worker]
    stalled_ms = sum(row.loop_stalled_ms for row in rows)
    share = stalled_ms / max(1.0, sum(row.length_s for row in rows) * 1e3)
    return Signal(
        "stalled loop",
        f"{worker}'s event loop stood still for {stalled_ms:.0f} ms, {share:.2%} of the run.",
        share * 100,
        "%",
        TAIL_LIMIT * 100,
        share <= TAIL_LIMIT,
        worker,
        "Keep other work off the generator's machine and out of its process, then repeat the run.",
    )


def _users(worker: str, evidence: Evidence) -> Signal:
    rows = evidence.rows[worker]
    offered = max(1, sum(row.offered for row in rows))
    queued = sum(row.queued for row in rows) / offered
    users = min(row.users for row in rows)
    needed = math.ceil(2 * evidence.rate_per_s.get(worker, 0.0) * PROMISE_S)
    waited = queued > QUEUED_LIMIT or max(row.behind_ms for row in rows) > 1_000
    return Signal(
        "free users",
        f"{queued:.2%} of {worker}'s arrivals found all {users} users busy"
        f" ({needed} are enough while calls take 10 ms).",
        queued * 100,
        "%",
        QUEUED_LIMIT * 100 if users < needed else None,
        users >= needed or not waited,
        worker,
        f"Raise --users to {needed * len(evidence.rows)} or more, or lower --rate.",
    )


def _steal(worker: str, evidence: Evidence) -> Signal | None:
    values = [row.host_steal for row in evidence.rows[worker] if row.host_steal is not None]
    if not values:
        return None
    share = sum(values) / len(values)
    return Signal(
        "stolen CPU",
        f"The hypervisor kept {share:.1%} of the CPU from {worker}'s machine.",
        share * 100,
        "%",
        STEAL_LIMIT * 100,
        share <= STEAL_LIMIT,
        worker,
        "Repeat on a quieter or dedicated machine.",
    )


def _gc(worker: str, evidence: Evidence) -> Signal:
    longest = max(row.gc_pause_max_ms for row in evidence.rows[worker])
    text = f"{worker}'s longest garbage collection took {longest:.1f} ms."
    return Signal("GC pause", text, longest, "ms", None, True, worker)


def _pressure(worker: str, evidence: Evidence) -> Signal | None:
    values = [row.pressure_cpu for row in evidence.rows[worker] if row.pressure_cpu is not None]
    if not values:
        return None
    share = sum(values) / len(values)
    text = f"Some task of {worker}'s machine waited for a CPU {share:.0%} of the time."
    return Signal("CPU pressure", text, share * 100, "%", None, True, worker)


def _invalid_responses(worker: str, evidence: Evidence) -> Signal:
    count = sum(row.invalid_responses for row in evidence.rows[worker])
    text = f"{count} responses to {worker} were not what had been stored (counted as errors)."
    return Signal("invalid responses", text, count, "responses", None, True, worker)


def _mean(rows: Sequence[HealthRow], of: Callable[[HealthRow], float]) -> float:
    return sum(of(row) * row.length_s for row in rows) / max(1e-9, sum(r.length_s for r in rows))
