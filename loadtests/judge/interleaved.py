"""Two subjects measured in one run: what affects both cancels out of their ratio.

The subjects run concurrently, and each second is a unit of both; or they alternate in the blocks of
`config.blocks` in run.json, where the i-th block of one and the i-th block of the other are a pair.
The list is the plan: pairs that the run did not finish are left out.

The log records a call under the second in which it ended. A subject is not called outside its
blocks, so a call that ends there began in its last block and counts there: slow calls are not lost
at the end of a block.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Final

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import ComparedSubject, Comparison, decide, most_left_out
from loadtests.judge.run_samples import RunSamples, comparable_samples
from loadtests.judge.stats.overall import ComparedSeries
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.ratios import PairedRatio
from loadtests.judge.stats.samples import Samples, samples_by_unit
from loadtests.measure.results import (
    PERCENTILES,
    AlternationBlock,
    Key,
    PercentileRatio,
    Run,
)
from loadtests.patterns import in_order

_NO_LIMITS = Relative(p50=None, p90=None, p99=None)
MAX_FAILED: Final = 0.01  # above it, the p99 may be that of failed calls
_HEARTBEAT_S: Final = 0.1  # a run ends up to one heartbeat after its last second


def compare_backends(
    run: Run,
    *,
    metric: str = "response_time",
    confidence: float = 0.95,
    percentiles: Collection[str] = PERCENTILES,
) -> list[PercentileRatio]:
    """DynamoDB over PostgreSQL within one run; empty if the run does not have both.

    A ratio of 1.30 means that DynamoDB took 30% longer.
    """
    by_backend = {subject.backend: subject for subject in reversed(subjects_of(run))}
    if not {"dynamodb", "postgres"} <= by_backend.keys():
        return []
    comparisons = compare_series(
        run,
        by_backend["dynamodb"],
        by_backend["postgres"],
        metric=metric,
        percentiles=percentiles,
    )
    return list(decide(comparisons, _NO_LIMITS, confidence))


def compare_interleaved(
    run: Run,
    subject: ComparedSubject,
    reference: ComparedSubject,
    allowed: Relative,
    confidence: float,
    *,
    metric: str = "response_time",
) -> Comparison:
    """Compare one subject of a run with another. Raises ResultsError if they share no pattern."""
    comparisons = compare_series(run, subject, reference, metric=metric)
    if not comparisons:
        subjects = ", ".join(map(str, subjects_of(run)))
        wire_time = " Stores of a factory may measure no wire time."
        raise ResultsError(
            f"{run.path / 'run.json'}: field series: {subject} and {reference} have no access "
            f"pattern with calls ({metric}) in common.",
            hint=f"The run has {subjects}." + (wire_time if metric == "wire_time" else ""),
        )
    validity = run.info.validity
    reasons = [] if validity and validity.valid else [f"{run.info.id}: the run is invalid."]
    reasons += [reason for side in (reference, subject) for reason in _failures(run, side)]
    return Comparison(
        decide(comparisons, allowed, confidence),
        tuple(reasons),
        comparable_samples([run])[0].basis,
        most_left_out([run]),
    )


def subjects_of(run: Run) -> list[ComparedSubject]:
    """Every backend and driver that a run measured."""
    subjects = {
        ComparedSubject(series.backend, series.driver) for series in run.info.series if series.count
    }
    return sorted(subjects, key=str)


def _failures(run: Run, subject: ComparedSubject) -> list[str]:
    """Access patterns whose percentiles may be those of failed calls, which are often fast."""
    return [
        f"{subject}: {failed:,} of {series.count:,} calls of {series.pattern} failed "
        f"({', '.join(sorted(series.errors))}), so its times are not comparable."
        for series in run.info.series
        if (series.backend, series.driver) == (subject.backend, subject.driver)
        and (failed := sum(series.errors.values())) > MAX_FAILED * series.count
    ]


def compare_series(
    run: Run,
    subject: ComparedSubject,
    reference: ComparedSubject,
    *,
    metric: str,
    percentiles: Collection[str] = PERCENTILES,
) -> list[ComparedSeries]:
    """The ratio of these percentiles for every access pattern that both subjects measured."""
    units = _units_by_subject(run)
    (run_samples,) = comparable_samples([run])
    comparisons = []
    measured = {series.pattern for series in run.info.series}
    for pattern in in_order(measured, run.info.config.patterns):
        new, old = (
            _samples(run_samples, side, pattern, metric, units) for side in (subject, reference)
        )
        if not (new.calls and old.calls):
            continue
        for percentile in percentiles:
            q = PERCENTILES[percentile]
            comparisons.append(
                ComparedSeries(
                    subject=str(subject),
                    reference=str(reference),
                    pattern=pattern,
                    metric=metric,
                    percentile=percentile,
                    ratio=PairedRatio(estimate_quantile(new, q), estimate_quantile(old, q)),
                )
            )
    return comparisons


UnitsBySubject = Mapping[str, Mapping[int, int]]


def _samples(
    run_samples: RunSamples,
    subject: ComparedSubject,
    pattern: str,
    metric: str,
    units: UnitsBySubject | None,
) -> Samples:
    key = Key(subject.backend, subject.driver, pattern, metric)
    if units is None:
        return run_samples.samples(key)
    return samples_by_unit(run_samples.intervals.get(key, []), units.get(str(subject), {}))


def _units_by_subject(run: Run) -> UnitsBySubject | None:
    """The number of the pair of blocks for each second of each subject; None if concurrent.

    Raises ResultsError when no pair of blocks was finished.
    """
    if run.info.config.blocks is None:
        return None
    by_subject: defaultdict[str, list[AlternationBlock]] = defaultdict(list)
    for block in run.info.config.blocks:
        by_subject[block.subject].append(block)
    until_s = run.info.duration_s + _HEARTBEAT_S
    finished = takewhile(
        lambda pair: all(block.end_s <= until_s for block in pair),
        zip(*by_subject.values(), strict=False),
    )
    pairs = len(list(finished))
    if not pairs:
        raise ResultsError(
            f"{run.path / 'run.json'}: field config.blocks: the run ended before each subject had "
            "a complete block.",
            hint="Run longer (--run-time).",
        )
    last_s = round(run.info.duration_s) + 1
    return {subject: _seconds(blocks, pairs, last_s) for subject, blocks in by_subject.items()}


def _seconds(blocks: Sequence[AlternationBlock], pairs: int, last_s: int) -> dict[int, int]:
    """The block's number for each second from its start to the start of the subject's next."""
    starts = [round(block.start_s) for block in blocks]
    ends = [*starts[1:], max(last_s, round(blocks[-1].end_s))]
    return {
        second: pair
        for pair, (start, end) in enumerate(zip(starts[:pairs], ends[:pairs], strict=True))
        for second in range(start, end)
    }
