"""A comparison of two subjects as the verdict of the run in which it was made.

The reference takes the place of a baseline, and the allowed growth of each percentile over it is a
limit. So a run that compared two subjects is reported like any other. A gate against a base judges
one of them by its own limits, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtests.config import Relative
from loadtests.judge.comparison import ComparedSubject, Comparison
from loadtests.judge.judging import interval_estimates, worst_status
from loadtests.judge.run_samples import RunSamples
from loadtests.judge.sentences import MAX_SHOWN, invalid_sentence
from loadtests.judge.slo import allowed_growth
from loadtests.judge.stats.distributions import one_sided
from loadtests.measure.results import (
    BaselineReference,
    Basis,
    LimitVerdict,
    Outcome,
    PercentileRatio,
    Run,
    RunInfo,
    Status,
    Verdict,
)
from loadtests.patterns import ALL_PATTERNS

_STATUS: Final[dict[Outcome, Status]] = {
    "WITHIN": "PASS",
    "SLOWER": "FAIL",
    "UNDECIDED": "INCONCLUSIVE",
}
_FINDINGS: Final[dict[Status, str]] = {
    "PASS": "shown to be within",
    "FAIL": "significantly slower, and not shown to be within",
    "INCONCLUSIVE": "neither significantly slower nor shown to be within",
    "INVALID": "in an invalid run, against",
}


def verdict_of(run: Run, comparison: Comparison, allowed: Relative, confidence: float) -> Verdict:
    """The comparison as the verdict of the run in which it was made."""
    first = comparison.rows[0]
    rows = [row for row in comparison.rows if row.outcome]
    # as in Comparison.status: the overall ratios decide where there are any
    overall = any(row.pattern == ALL_PATTERNS for row in rows)
    limits = [
        _limit_verdict(
            row,
            allowed,
            comparison.basis,
            invalid=bool(comparison.reasons),
            decides=row.pattern == ALL_PATTERNS or not overall,
        )
        for row in rows
    ]
    samples = RunSamples(run)
    estimates = [
        estimate
        for series in samples.series()
        for estimate in interval_estimates(samples, series.key(first.metric), confidence)
    ]
    return Verdict(
        status=comparison.status,
        sentence=" ".join(filter(None, [_sentence(comparison, limits), comparison.calls_compared])),
        confidence=confidence,
        level=one_sided(confidence),
        needed_s=None,
        reasons=comparison.reasons,
        baseline=BaselineReference(name=f"{first.reference} in the same run", runs=(run.info.id,)),
        limits=tuple(limits),
        estimates=tuple(estimates),
    )


def compared_pair(info: RunInfo) -> tuple[ComparedSubject, ComparedSubject] | None:
    """The subject that a gate judges, and the one that it compares it with; None where none is."""
    pair = {subject.judged: subject for subject in info.subjects}
    if len(pair) != 2:
        return None
    head, base = pair[True], pair[False]
    return ComparedSubject(head.backend, head.name), ComparedSubject(base.backend, base.name)


def joined(absolute: Verdict, relative: Verdict) -> Verdict:
    """The verdict on a subject by its limits, and by the comparison in the same run: the graver."""
    graver, other = absolute, relative
    if worst_status([absolute.status, relative.status]) != absolute.status:
        graver, other = relative, absolute
    return absolute.model_copy(
        update={
            "status": graver.status,
            "sentence": f"{graver.sentence} {other.sentence}",
            "reasons": tuple(dict.fromkeys([*graver.reasons, *other.reasons])),
            "baseline": relative.baseline,
            "limits": (*absolute.limits, *relative.limits),
        }
    )


def _limit_verdict(
    row: PercentileRatio, allowed: Relative, basis: Basis, *, invalid: bool, decides: bool
) -> LimitVerdict:
    backend, _, driver = row.subject.partition("/")
    growth = allowed_growth(allowed)[row.percentile] or 0.0
    status: Status = "INVALID" if invalid else _STATUS[row.outcome]
    change = f"{row.pattern} {row.percentile} is {_change(row)}"
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
        sentence=f"{change}, {_FINDINGS[status]} {growth:+.0%}.",
        decides=decides,
        basis=basis,
        direction=row.direction,
    )


def _sentence(comparison: Comparison, limits: Sequence[LimitVerdict]) -> str:
    first, status = comparison.rows[0], comparison.status
    sides = f"{first.subject} over {first.reference}"
    if status == "INVALID":
        return invalid_sentence(comparison.reasons)
    if status == "PASS":
        undecided = sum(limit.status == "INCONCLUSIVE" for limit in limits)
        more = f" {undecided} of {len(limits)} single percentiles are undecided." * bool(undecided)
        return f"PASS: {sides}: nothing is slower by more than is allowed.{more}"
    sentences = [limit.sentence for limit in limits if limit.status == status]
    more = f" And {len(sentences) - MAX_SHOWN} more." if len(sentences) > MAX_SHOWN else ""
    adjective = "slower" if status == "FAIL" else "undecided"
    return (
        f"{status}: {sides}: {len(sentences)} of {len(limits)} percentiles {adjective}: "
        f"{' '.join(sentences[:MAX_SHOWN])}{more}"
    )


def _change(row: PercentileRatio) -> str:
    low, high = (f"{bound - 1:+.1%}" if bound is not None else "?" for bound in (row.low, row.high))
    return f"{row.ratio - 1:+.1%} [{low}, {high}]"
