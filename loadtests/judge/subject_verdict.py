"""What a comparison of two subjects means, in the stored form of a verdict.

The reference stands where a baseline does in a gate's verdict, and each percentile's allowed growth
over it is a limit. So a run that compared two subjects is reported as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from loadtests.config import Relative
from loadtests.judge.comparison import Comparison
from loadtests.judge.judging import interval_estimates
from loadtests.judge.measured import Measured
from loadtests.measure.results import (
    BaselineReference,
    Key,
    LimitVerdict,
    PercentileRatio,
    Run,
    Status,
    Verdict,
)

_STATUS: Final[dict[str, Status]] = {
    "WITHIN": "PASS", "SLOWER": "FAIL", "UNDECIDED": "INCONCLUSIVE"
}  # fmt: skip
_SHOWN: Final = 3


def verdict_of(run: Run, found: Comparison, allowed: Relative, confidence: float) -> Verdict:
    """The comparison as the verdict on the run that it was made in."""
    first = found.rows[0]
    decided = [_limit(row, allowed, bool(found.reasons)) for row in found.rows if row.outcome]
    measured = Measured(run)
    estimates = [
        estimate
        for one in measured.series()
        for estimate in interval_estimates(
            measured, Key(one.backend, one.driver, one.pattern, first.metric), confidence
        )
    ]
    return Verdict(
        status=cast("Status", found.status),
        sentence=_sentence(found, decided),
        confidence=confidence,
        level=1.0 - confidence,
        needed_s=None,
        reasons=found.reasons,
        baseline=BaselineReference(name=f"{first.reference} in the same run", runs=(run.info.id,)),
        limits=tuple(decided),
        estimates=tuple(estimates),
    )


def _limit(row: PercentileRatio, allowed: Relative, invalid: bool) -> LimitVerdict:
    backend, _, driver = row.subject.partition("/")
    growth = {"p50": allowed.p50, "p90": allowed.p90, "p99": allowed.p99}[row.percentile] or 0.0
    status: Status = "INVALID" if invalid else _STATUS[row.outcome]
    said = {
        "PASS": "shown to be within",
        "FAIL": "slower for certain, and not shown to be within",
        "INCONCLUSIVE": "not shown to be slower, nor to be within",
        "INVALID": "in a run that does not count, against",
    }[status]
    return LimitVerdict(
        backend=backend,
        driver=driver,
        pattern=row.pattern,
        metric=row.metric,
        kind="relative",
        percentile=row.percentile,
        limit=1.0 + growth,
        estimate=row.ratio,
        low=row.low,
        high=row.high,
        calls=row.subject_calls,
        needed_calls=None,
        status=status,
        sentence=f"{row.pattern} {row.percentile} is {_change(row)}, {said} {growth:+.0%}.",
    )


def _sentence(found: Comparison, decided: Sequence[LimitVerdict]) -> str:
    first, status = found.rows[0], found.status
    sides = f"{first.subject} over {first.reference}"
    if status == "INVALID":
        more = f" (and {len(found.reasons) - 1} more)" if len(found.reasons) > 1 else ""
        return f"INVALID: {found.reasons[0]}{more}"
    if status == "PASS":
        undecided = sum(one.status == "INCONCLUSIVE" for one in decided)
        more = f" Undecided by themselves: {undecided} of {len(decided)}." if undecided else ""
        return f"PASS: {sides}: nothing is slower by more than is allowed.{more}"
    named = [one.sentence for one in decided if one.status == status]
    more = f" And {len(named) - _SHOWN} more." if len(named) > _SHOWN else ""
    verb = "slower" if status == "FAIL" else "undecided"
    return (
        f"{status}: {sides}: {len(named)} of {len(decided)} percentiles {verb}: "
        f"{' '.join(named[:_SHOWN])}{more}"
    )


def _change(row: PercentileRatio) -> str:
    low, high = (f"{one - 1:+.1%}" if one is not None else "?" for one in (row.low, row.high))
    return f"{row.ratio - 1:+.1%} [{low}, {high}]"
