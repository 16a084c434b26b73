"""When a run is not valid: rules on the generator's health, each with its reason and remedy.

Each rule limits the share of the reported time that the generator could have caused. It may have
delayed up to a quarter of the calls beyond p99; with more, the p99 could be its own. A slow
database breaks no rule: waiting for a busy user counts against the generator only when there were
too few users for a database that keeps its promise. `docs/VALIDITY.md` explains
the limits.

Each rule says what it rules out. Delays can only add to a response time that counts from its
intended start: a limit that is met in spite of them is met, so they rule out FAIL alone. What may
hide load from the database, or calls from the figures, rules out every verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loadtests.measure.health.backlog import RULE as BACKLOG_RULE
from loadtests.measure.health.backlog import backlog_signals
from loadtests.measure.health.delay_rules import (
    DELAY_LIMITS_MS,
    LATE_NS,
    TAIL_LIMIT,
    Allowance,
    delay_signals,
)
from loadtests.measure.health.evidence import GeneratorEvidence, WorkerEvidence
from loadtests.measure.health.signals import Signal
from loadtests.measure.results import Reason, SeriesInfo, StallInfo, Validity

__all__ = [
    "DELAY_P50_LIMIT_MS",
    "DELAY_P99_LIMIT_MS",
    "DELAY_RULES",
    "LATE_NS",
    "STEAL_LIMIT",
    "TAIL_LIMIT",
    "GeneratorEvidence",
    "Signal",
    "judge_validity",
]

CPU_LIMIT: Final = 0.90
CPU_WAIT_LIMIT: Final = 0.10
DELAY_P50_LIMIT_MS: Final = DELAY_LIMITS_MS["p50"]
DELAY_P99_LIMIT_MS: Final = DELAY_LIMITS_MS["p99"]
QUEUED_LIMIT: Final = 0.001
PROMISE_S: Final = 0.010  # a database that keeps its promise frees a user this fast
STEAL_LIMIT: Final = 0.10
# rules on delays, which can only add to response times
DELAY_RULES: Final = frozenset(
    [
        "generator delay p50",
        "generator delay p90",
        "generator delay p99",
        "late dispatches",
        "event-loop stalls",
        "wait for a CPU",
        "stolen CPU",
        BACKLOG_RULE,
    ]
)


def judge_validity(
    evidence: GeneratorEvidence,
    series: Sequence[SeriesInfo] = (),
    stalls: StallInfo | None = None,
) -> tuple[list[Signal], Validity]:
    """Every signal, each of its worst worker, and whether the run is valid.

    `series` is what was measured: slower series allow larger delays by the generator. `stalls` are
    those of the machine, where they were measured; they are only reported.
    """
    allowance = Allowance(series)
    every = [
        signal
        for worker, watched in evidence.workers.items()
        for signal in (
            _cpu(worker, watched, len(evidence.workers)),
            *delay_signals(worker, watched, allowance),
            _cpu_wait(worker, watched),
            _users(worker, watched, evidence),
            *backlog_signals(worker, evidence.backlogs.get(worker)),
            *_machine(worker, watched),
            _gc(worker, watched),
            _invalid_responses(worker, watched),
        )
    ]
    names = dict.fromkeys(signal.name for signal in every)
    signals = [
        *_lost(evidence),
        *(_worst(s for s in every if s.name == name) for name in names),
        *_stalls(stalls),
    ]
    return with_signals([], Validity(valid=True), signals)


def with_signals(
    signals: Sequence[Signal], validity: Validity, more: Iterable[Signal]
) -> tuple[list[Signal], Validity]:
    """Signals and validity with further signals; each that is not ok is one more reason."""
    added = list(more)
    reasons = validity.reasons + [_reason(signal) for signal in added if not signal.ok]
    return [*signals, *added], Validity(valid=validity.valid and not reasons, reasons=reasons)


def _reason(signal: Signal) -> Reason:
    return Reason(
        rule=signal.name,
        found=signal.text,
        remedy=signal.remedy,
        rules_out="FAIL" if signal.name in DELAY_RULES else "every verdict",
    )


def _worst(signals: Iterable[Signal]) -> Signal:
    return max(signals, key=lambda s: (not s.ok, s.value or 0.0))


def _lost(evidence: GeneratorEvidence) -> list[Signal]:
    if not evidence.workers:
        text = "No second of the run was measured: it ended within its warm-up."
        remedy = "Run longer (--run-time) or shorten --warm-up."
        return [Signal("measured seconds", text, 0, "s", 1, False, "", remedy)]
    if not any(watched.saw_a_call for watched in evidence.workers.values()):
        text = "Not one call was due in the measured part of the run."
        remedy = "Run longer (--run-time) or raise --rate."
        return [Signal("measured calls", text, 0, "calls", 1, False, "", remedy)]
    return [
        Signal("lost worker", f"{worker} stopped reporting.", 1, "workers", 0, False, worker,
               "Look at that worker's log and repeat the run.")
        for worker in evidence.lost
    ]  # fmt: skip


def _cpu(worker: str, watched: WorkerEvidence, workers: int) -> Signal:
    used = watched.process_cpu.value or 0.0
    processes = workers * max(2, math.ceil(used / 0.5))
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


def _cpu_wait(worker: str, watched: WorkerEvidence) -> Signal:
    share = watched.cpu_wait.value
    if share is None:
        text = f"{worker}'s system does not tell how long a process waits for a CPU."
        return Signal("wait for a CPU", text, None, "% of the time", None, True, worker)
    return Signal(
        "wait for a CPU",
        f"{worker} was ready to run and not let run {share:.1%} of the time.",
        share * 100,
        "% of the time",
        CPU_WAIT_LIMIT * 100,
        share <= CPU_WAIT_LIMIT,
        worker,
        "Stop what else uses the generator's machine, or give the generator a core of its own.",
    )


def _users(worker: str, watched: WorkerEvidence, evidence: GeneratorEvidence) -> Signal:
    queued = watched.queued / max(1, watched.offered)
    users = watched.users_min or 0
    needed = math.ceil(2 * evidence.rate_per_s.get(worker, 0.0) * PROMISE_S)
    waited = queued > QUEUED_LIMIT or watched.behind_max_ms > 1_000
    return Signal(
        "free users",
        f"{queued:.2%} of {worker}'s arrivals found all {users} users busy"
        f" ({needed} are enough while calls take 10 ms).",
        queued * 100,
        "%",
        QUEUED_LIMIT * 100 if users < needed else None,
        users >= needed or not waited,
        worker,
        f"Raise --users to {needed * len(evidence.workers)} or more, or lower --rate.",
    )


def _machine(worker: str, watched: WorkerEvidence) -> Iterator[Signal]:
    stolen, pressure = watched.host_steal.value, watched.pressure_cpu.value
    if stolen is not None:
        yield Signal(
            "stolen CPU",
            f"The hypervisor kept {stolen:.1%} of the CPU from {worker}'s machine.",
            stolen * 100,
            "%",
            STEAL_LIMIT * 100,
            stolen <= STEAL_LIMIT,
            worker,
            "Repeat on a quieter or dedicated machine.",
        )
    if pressure is not None:
        text = f"Some task of {worker}'s machine waited for a CPU {pressure:.0%} of the time."
        yield Signal("CPU pressure", text, pressure * 100, "%", None, True, worker)
    if watched.throttled_ms is not None:
        text = (
            f"{worker}'s own control group held its CPU back for {watched.throttled_ms:,.0f} ms;"
            " that is never left out."
        )
        yield Signal("CPU throttled", text, watched.throttled_ms, "ms", None, True, worker)


def _stalls(stalls: StallInfo | None) -> Iterator[Signal]:
    if stalls is None:
        return
    text = (
        f"The machine stalled {stalls.used} times for {stalls.min_used_ms:g} ms or more:"
        f" {stalls.left_out:.1%} of the calls are left out, {stalls.dead_time:.1%} of the time is"
        f" near a stall ({stalls.meter} meters)."
    )
    yield Signal("machine stalls", text, stalls.left_out * 100, "% of the calls", None, True)


def _gc(worker: str, watched: WorkerEvidence) -> Signal:
    longest = watched.gc_pause_max_ms
    text = f"{worker}'s longest garbage collection took {longest:.1f} ms."
    return Signal("GC pause", text, longest, "ms", None, True, worker)


def _invalid_responses(worker: str, watched: WorkerEvidence) -> Signal:
    count = watched.invalid_responses
    text = f"{count} responses to {worker} were not what had been stored (counted as errors)."
    return Signal("invalid responses", text, count, "responses", None, True, worker)
