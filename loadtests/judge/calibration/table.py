"""The gate's calibration as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Coverage, Decisions, Outcomes
from loadtests.judge.calibration.relative import (
    GROWTHS,
    CalibrationPlan,
    Scope,
    Slowdown,
    SlowedCalls,
)
from loadtests.judge.stats.distributions import one_sided
from loadtests.judge.stats.proportions import FailureRate
from loadtests.measure.results import Run

_CALLS: Final[Mapping[SlowedCalls, str]] = {
    "all": "all calls (p50 and p99)",
    "tail": "above p95 only (p99)",
}
_SCOPES: Final[Mapping[Scope, str]] = {
    "series": "one pattern",
    "backend": "every pattern of a backend",
}
_STATUSES: Final = ("PASS", "FAIL", "INCONCLUSIVE")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResults:
    """What a calibration measured, on which runs; times in seconds.

    `judging_s` is the time to judge the first recording.
    """

    runs: Sequence[Run]
    recordings: Sequence[RecordedRun]
    plan: CalibrationPlan
    coverage: Mapping[str, Coverage]
    interleaved: Mapping[Slowdown | None, Outcomes]
    separate: Mapping[Slowdown | None, Outcomes]
    limits: Mapping[float, Decisions]
    judging_s: float
    calibration_s: float


def calibration_table(results: CalibrationResults) -> str:
    """All tables, and the recordings that they were measured on."""
    lines = [
        *_recordings(results),
        *_coverage(results),
        *_limits(results.limits),
        *_false_alarms(results),
        *_power("Interleaved, `loadtests compare`", results.interleaved),
        *_power(
            "Two runs, the gate's relative limits (+10% p50, +20% p99)",
            results.separate,
        ),
        f"Judging the first recording took {results.judging_s:.2f} s, the calibration "
        f"{results.calibration_s:.0f} s.",
    ]
    return "\n".join(lines)


def _recordings(results: CalibrationResults) -> Iterator[str]:
    for run, recording in zip(results.runs, results.recordings, strict=True):
        calls = sum(samples.calls for samples in recording.series.values())
        valid = "valid" if run.info.validity and run.info.validity.valid else "not valid"
        skipped = f", after {recording.skipped} s of further warm-up" if recording.skipped else ""
        yield (
            f"- `{run.info.id}`: {recording.seconds} s, {len(recording.series)} series, "
            f"{calls:,} calls, {calls / recording.seconds:.0f}/s, {valid}{skipped}"
        )
    yield ""
    plan = results.plan
    yield f"Resampled runs of {plan.seconds} s in blocks of {plan.block} recorded seconds."
    yield ""


def _coverage(results: CalibrationResults) -> Iterator[str]:
    plan = results.plan
    yield (
        f"**Coverage of {plan.confidence:.0%} intervals** ({plan.runs} resampled runs, all series)"
    )
    yield ""
    yield "| percentile | intervals | coverage | not resolvable |"
    yield "|---|---:|---:|---:|"
    for name, coverage in results.coverage.items():
        total = coverage.intervals + coverage.unresolvable
        unresolvable = coverage.unresolvable / total
        yield f"| {name} | {coverage.intervals:,} | {coverage.rate:.1%} | {unresolvable:.1%} |"
    yield ""


def _limits(limits: Mapping[float, Decisions]) -> Iterator[str]:
    runs = next(iter(limits.values())).runs.total()
    yield f"**Absolute p99 limits**, judged as the gate does ({runs} resampled runs, all series)"
    yield ""
    yield (
        "| every limit at | PASS | FAIL | INCONCLUSIVE | single limits: PASS | FAIL | "
        "INCONCLUSIVE | measured s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for factor, decisions in limits.items():
        of_runs = " | ".join(f"{decisions.rate(status):.1%}" for status in _STATUSES)
        of_limits = " | ".join(f"{decisions.limit_rate(status):.1%}" for status in _STATUSES)
        yield f"| {factor:g} × the true p99 | {of_runs} | {of_limits} | {decisions.mean_s:.0f} |"
    yield ""


def _false_alarms(results: CalibrationResults) -> Iterator[str]:
    yield "**Two equal subjects** (all patterns, backends and percentiles together)"
    yield ""
    yield "| | comparisons | false FAIL | upper 95% bound | INCONCLUSIVE | PASS |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, outcomes in (
        ("interleaved", results.interleaved[None]),
        ("two runs", results.separate[None]),
    ):
        total = outcomes.statuses.total()
        yield (
            f"| {name} | {total} | {outcomes.rate('FAIL'):.1%} | "
            f"{_upper_bound(outcomes.statuses['FAIL'], total):.1%} | "
            f"{outcomes.rate('INCONCLUSIVE'):.1%} | {outcomes.rate('PASS'):.1%} |"
        )
    yield ""


def _power(title: str, outcomes: Mapping[Slowdown | None, Outcomes]) -> Iterator[str]:
    yield f"**Power**: the slowed pattern or backend is named. {title}"
    yield ""
    yield "| slowed | where | " + " | ".join(f"+{growth:.0%}" for growth in GROWTHS) + " |"
    yield "|---|---|" + "---:|" * len(GROWTHS)
    for calls, scope in product(_CALLS, _SCOPES):
        power = " | ".join(
            f"{outcomes[Slowdown(calls, scope, growth)].power:.1%}" for growth in GROWTHS
        )
        yield f"| {_CALLS[calls]} | {_SCOPES[scope]} | {power} |"
    yield ""


def _upper_bound(failed: int, total: int) -> float:
    return FailureRate(failed, total).high(one_sided(0.95)) if total else math.nan
