"""The gate's calibration as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from loadtests.judge.calibration.absolute import SLOWED
from loadtests.judge.calibration.bootstrap import RecordedRun, comparable_basis
from loadtests.judge.calibration.counters import Coverage, Decisions, Outcomes
from loadtests.judge.calibration.percentiles import (
    BASES,
    PercentileKey,
    WindowPercentiles,
    merged_percentiles_ms,
)
from loadtests.judge.calibration.relative import (
    GROWTHS,
    CalibrationPlan,
    Scope,
    Slowdown,
    SlowedCalls,
)
from loadtests.judge.stats.distributions import one_sided
from loadtests.judge.stats.proportions import FailureRate
from loadtests.measure.results import Basis, Run

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

    `quiet` is the recording that the true percentiles are from; None: each recording itself.
    `judging_s` is the time to judge the first recording.
    """

    runs: Sequence[Run]
    recordings: Sequence[RecordedRun]
    plan: CalibrationPlan
    coverage: Mapping[tuple[Basis, str], Coverage]
    interleaved: Mapping[Slowdown | None, Outcomes]
    separate: Mapping[Slowdown | None, Outcomes]
    limits: Mapping[float | None, Decisions]
    percentiles: Mapping[PercentileKey, WindowPercentiles]
    quiet: RecordedRun | None = None
    judging_s: float
    calibration_s: float


def calibration_table(results: CalibrationResults) -> str:
    """All tables, and the recordings that they were measured on."""
    lines = [
        *_recordings(results),
        *(_coverage(results) if results.coverage else ()),
        *_limits(results.limits),
        *_percentiles(results),
        *(_comparisons(results) if results.interleaved else ()),
        f"Judging the first recording took {results.judging_s:.2f} s, the calibration "
        f"{results.calibration_s:.0f} s.",
    ]
    return "\n".join(lines)


def _comparisons(results: CalibrationResults) -> Iterator[str]:
    yield from _false_alarms(results)
    yield from _power("Interleaved, `loadtests compare`", results.interleaved)
    yield from _power("Two runs, the gate's relative limits (+10% p50, +20% p99)", results.separate)


def _recordings(results: CalibrationResults) -> Iterator[str]:
    for run, recording in zip(results.runs, results.recordings, strict=True):
        calls = sum(samples.calls for samples in recording.series.values())
        valid = "valid" if run.info.validity and run.info.validity.valid else "not valid"
        skipped = f", after {recording.skipped} s of further warm-up" if recording.skipped else ""
        yield (
            f"- `{run.info.id}`: {recording.seconds} s, {len(recording.series)} series, "
            f"{calls:,} calls, {calls / recording.seconds:.0f}/s, {valid}{skipped}"
            + (f", {recording.left_out:.1%} of the calls left out" if recording.left_out else "")
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
    for (basis, name), coverage in results.coverage.items():
        total = coverage.intervals + coverage.unresolvable
        if not total:
            continue
        unresolvable = coverage.unresolvable / total
        of = " of undisturbed calls" if basis == "undisturbed" else ""
        yield f"| {name}{of} | {coverage.intervals:,} | {coverage.rate:.1%} | {unresolvable:.1%} |"
    yield ""


def _limits(limits: Mapping[float | None, Decisions]) -> Iterator[str]:
    runs = next(iter(limits.values())).runs.total()
    yield (
        f"**Absolute p99 limits**, judged as the gate does ({runs} windows, all series, with error"
        " rates and interim analyses)"
    )
    yield ""
    yield (
        "| every limit at | PASS | FAIL | INCONCLUSIVE | single limits: PASS | FAIL | "
        "INCONCLUSIVE | measured s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for factor, decisions in limits.items():
        of_runs = " | ".join(f"{decisions.rate(status):.1%}" for status in _STATUSES)
        of_limits = " | ".join(f"{decisions.limit_rate(status):.1%}" for status in _STATUSES)
        name = "the configured limits" if factor is None else f"{factor:.3g} × the true p99"
        if factor == SLOWED:
            name += " (slowed to 1.5 × the limit)"
        yield f"| {name} | {of_runs} | {of_limits} | {decisions.mean_s:.0f} |"
    yield ""


def _percentiles(results: CalibrationResults) -> Iterator[str]:
    """Percentiles of the windows against the truth."""
    source = results.quiet or results.recordings[0]
    basis: Basis = "all" if source.undisturbed is None else "undisturbed"
    true_ms = merged_percentiles_ms(source.calls_of(basis))
    whose = "a quiet recording" if results.quiet else "the first recording"
    yield f"**Percentiles of the windows**, ms. True: {basis} calls of {whose}; windows: median"
    yield "[5%, 95% of the windows]"
    yield ""
    yield "| database | | true | all calls | undisturbed calls |"
    yield "|---|---|---:|---:|---:|"
    for (backend, name), value_ms in true_ms.items():
        cells = " | ".join(
            _spread(results.percentiles[backend, name, which])
            if (backend, name, which) in results.percentiles
            else "–"
            for which in BASES
        )
        yield f"| {backend} | {name} | {value_ms:.2f} | {cells} |"
    yield ""


def _spread(windows: WindowPercentiles) -> str:
    if not windows.values_ms:
        return "–"
    low, middle, high = (windows.at(q) for q in (0.05, 0.5, 0.95))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def _false_alarms(results: CalibrationResults) -> Iterator[str]:
    basis = comparable_basis(results.recordings)
    yield f"**Two equal subjects** ({basis} calls; all patterns, backends, percentiles together)"
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
