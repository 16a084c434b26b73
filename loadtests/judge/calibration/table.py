"""The gate's calibration as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from loadtests.judge.calibration.absolute import Decided
from loadtests.judge.calibration.bootstrap import Recording
from loadtests.judge.calibration.relative import (
    GROWTHS,
    Injection,
    Place,
    Plan,
    Scope,
)
from loadtests.judge.calibration.tallies import Coverage, Outcomes
from loadtests.judge.stats.proportions import Share
from loadtests.measure.results import Run

_PLACES: Mapping[Place, str] = {"all": "all calls (p50 and p99)", "tail": "beyond p95 only (p99)"}
_SCOPES: Mapping[Scope, str] = {"series": "one pattern", "backend": "every pattern of a backend"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds to judge the first recording, and for the whole calibration."""

    judging_s: float
    calibration_s: float


def calibration_table(
    runs: Sequence[Run],
    recordings: Sequence[Recording],
    plan: Plan,
    coverage: Mapping[str, Coverage],
    together: Mapping[Injection, Outcomes],
    apart: Mapping[Injection, Outcomes],
    limits: Mapping[float, Decided],
    cost: Cost,
) -> str:
    """All tables, with what they were measured on."""
    lines = [*_recorded(runs, recordings, plan), *_coverage(coverage, plan), *_limits(limits)]
    lines += _alarms(together, apart)
    lines += _power("Interleaved, `loadtests compare`", together)
    lines += _power("Two runs, the gate's relative limits (+10% p50, +20% p99)", apart)
    lines.append(
        f"Judging the first recording took {cost.judging_s:.2f} s, the calibration "
        f"{cost.calibration_s:.0f} s."
    )
    return "\n".join(lines)


def _recorded(runs: Sequence[Run], recordings: Sequence[Recording], plan: Plan) -> Iterator[str]:
    for run, recording in zip(runs, recordings, strict=True):
        calls = sum(samples.calls for samples in recording.whole.values())
        valid = "valid" if run.info.validity and run.info.validity.valid else "not valid"
        skipped = f", after {recording.skipped} s of further warm-up" if recording.skipped else ""
        yield (
            f"- `{run.info.id}`: {recording.seconds} s, {len(recording.whole)} series, "
            f"{calls:,} calls, {calls / recording.seconds:.0f}/s, {valid}{skipped}"
        )
    yield ""
    yield f"Drawn: runs of {plan.seconds} s in blocks of {plan.block} recorded seconds."
    yield ""


def _coverage(coverage: Mapping[str, Coverage], plan: Plan) -> Iterator[str]:
    yield f"**Coverage of {plan.confidence:.0%} intervals** ({plan.runs} drawn runs, all series)"
    yield ""
    yield "| percentile | intervals | coverage | not carried |"
    yield "|---|---:|---:|---:|"
    for name, one in coverage.items():
        total = one.intervals + one.not_carried
        yield f"| {name} | {one.intervals:,} | {one.share:.1%} | {one.not_carried / total:.1%} |"
    yield ""


def _limits(limits: Mapping[float, Decided]) -> Iterator[str]:
    draws = next(iter(limits.values())).runs.total()
    yield f"**Absolute p99 limits**, judged as the gate does ({draws} drawn runs, all series)"
    yield ""
    yield (
        "| every limit at | PASS | FAIL | INCONCLUSIVE | single limits: PASS | FAIL | "
        "INCONCLUSIVE | measured s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for times, one in limits.items():
        statuses = ("PASS", "FAIL", "INCONCLUSIVE")
        runs = " | ".join(f"{one.share(status):.1%}" for status in statuses)
        single = " | ".join(f"{one.share_of_limits(status):.1%}" for status in statuses)
        yield f"| {times:g} × the true p99 | {runs} | {single} | {one.mean_s:.0f} |"
    yield ""


def _alarms(
    together: Mapping[Injection, Outcomes], apart: Mapping[Injection, Outcomes]
) -> Iterator[str]:
    yield "**The same twice** (whole family of patterns, backends and percentiles)"
    yield ""
    yield "| | comparisons | false FAIL | upper 95% bound | INCONCLUSIVE | PASS |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, outcomes in (("interleaved", together[None]), ("two runs", apart[None])):
        total = sum(outcomes.statuses.values())
        yield (
            f"| {name} | {total} | {outcomes.share('FAIL'):.1%} | "
            f"{_upper(outcomes.statuses['FAIL'], total):.1%} | "
            f"{outcomes.share('INCONCLUSIVE'):.1%} | {outcomes.share('PASS'):.1%} |"
        )
    yield ""


def _power(title: str, outcomes: Mapping[Injection, Outcomes]) -> Iterator[str]:
    yield f"**Power**: what was slowed is named. {title}"
    yield ""
    yield "| slowed | where | " + " | ".join(f"+{growth:.0%}" for growth in GROWTHS) + " |"
    yield "|---|---|" + "---:|" * len(GROWTHS)
    for place, scope in product(_PLACES, _SCOPES):
        found = " | ".join(f"{outcomes[place, scope, growth].power:.1%}" for growth in GROWTHS)
        yield f"| {_PLACES[place]} | {_SCOPES[scope]} | {found} |"
    yield ""


def _upper(failed: int, total: int) -> float:
    return Share(failed, total).high(0.05) if total else math.nan
