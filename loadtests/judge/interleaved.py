"""Two subjects measured in one run: what both felt alike cancels out of their ratio.

They run side by side (each second is then a unit of both), or take turns in blocks that run.json
lists as `config.blocks`: `[{"subject": "dynamodb/boto3", "start_s": 10, "end_s": 20}, …]`, where
the i-th block of one and the i-th of the other are a pair. The list is the plan; pairs that the run
did not live to finish are left out.

The log files a call under the second it ended in. Nothing is asked of a subject while it is not its
turn, so a call that ends there began in its last block and counts there: slow calls are not lost at
the end of a block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Final

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import ComparedSubject, Comparison, decide
from loadtests.judge.measured import Measured
from loadtests.judge.stats.pairs import Pair
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.ratios import together
from loadtests.judge.stats.samples import Samples, by_block
from loadtests.measure.results import (
    PERCENTILES,
    AlternationBlock,
    Key,
    PercentileRatio,
    Run,
)
from loadtests.patterns import PATTERNS

_NO_LIMITS = Relative(p50=None, p90=None, p99=None)
MOST_FAILED: Final = 0.01  # from one call in a hundred on, the p99 may be that of failed calls
_LATE_S: Final = 0.1  # a run ends a heartbeat after its last second


def compare_backends(
    run: Run,
    *,
    metric: str = "response_time",
    confidence: float = 0.95,
    percentiles: Collection[str] = PERCENTILES,
) -> list[PercentileRatio]:
    """DynamoDB against Postgres within one run; empty where it does not hold both.

    A ratio of 1.30 says that DynamoDB took 30% longer.
    """
    by_backend = {one.backend: one for one in reversed(subjects_of(run))}
    if not {"dynamodb", "postgres"} <= by_backend.keys():
        return []
    sides = by_backend["dynamodb"], by_backend["postgres"]
    pairs = interleaved_pairs(run, *sides, metric=metric, percentiles=percentiles)
    return list(decide(pairs, _NO_LIMITS, confidence))


def compare_interleaved(
    run: Run,
    subject: ComparedSubject,
    reference: ComparedSubject,
    allowed: Relative,
    confidence: float,
    *,
    metric: str = "response_time",
) -> Comparison:
    """Hold one subject of a run against the other. Raises ResultsError where there is no pair."""
    pairs = interleaved_pairs(run, subject, reference, metric=metric)
    if not pairs:
        raise ResultsError(
            f"{run.path / 'run.json'}: field series: {subject} and {reference} have no access "
            f"pattern with calls ({metric}) in common.",
            hint="The run holds "
            + ", ".join(map(str, subjects_of(run)))
            + "."
            + (" Stores of a factory may measure no wire time." if metric == "wire_time" else ""),
        )
    validity = run.info.validity
    reasons = [] if validity and validity.valid else [f"{run.info.id}: the run does not count."]
    reasons += [said for one in (reference, subject) for said in _failing(run, one)]
    return Comparison(decide(pairs, allowed, confidence), tuple(reasons))


def subjects_of(run: Run) -> list[ComparedSubject]:
    """Every backend and driver that a run measured."""
    found = {ComparedSubject(one.backend, one.driver) for one in run.info.series if one.count}
    return sorted(found, key=str)


def _failing(run: Run, subject: ComparedSubject) -> list[str]:
    """Access patterns whose percentiles may be those of failed calls, which are often quick."""
    return [
        f"{subject}: {failed:,} of {one.count:,} calls of {one.pattern} failed "
        f"({', '.join(sorted(one.errors))}), so its times are not comparable."
        for one in run.info.series
        if (one.backend, one.driver) == (subject.backend, subject.driver)
        and (failed := sum(one.errors.values())) > MOST_FAILED * one.count
    ]


def interleaved_pairs(
    run: Run,
    subject: ComparedSubject,
    reference: ComparedSubject,
    *,
    metric: str,
    percentiles: Collection[str] = PERCENTILES,
) -> list[Pair]:
    """The ratio of these percentiles of every access pattern that both subjects measured."""
    units = _units(run)
    measured = Measured(run)
    pairs = []
    for pattern in PATTERNS:
        sides = [_samples(measured, one, pattern, metric, units) for one in (subject, reference)]
        if not all(one.calls for one in sides):
            continue
        for percentile in percentiles:
            q = PERCENTILES[percentile]
            ratio = together(estimate_quantile(sides[0], q), estimate_quantile(sides[1], q))
            sides_named = (str(subject), str(reference))
            pairs.append(Pair(*sides_named, pattern, metric, percentile, ratio))
    return pairs


Units = Mapping[str, Mapping[int, int]]


def _samples(
    measured: Measured, subject: ComparedSubject, pattern: str, metric: str, units: Units | None
) -> Samples:
    key = Key(subject.backend, subject.driver, pattern, metric)
    if units is None:
        return measured.samples(key)
    return by_block(measured.run.intervals.get(key, []), units.get(str(subject), {}))


def _units(run: Run) -> Units | None:
    """Which pair of blocks each second of each subject belongs to; None when side by side.

    Raises ResultsError when no subject had a whole block.
    """
    blocks = run.info.config.blocks
    if blocks is None:
        return None
    held: dict[str, list[AlternationBlock]] = {}
    for block in blocks:
        held.setdefault(block.subject, []).append(block)
    until_s = run.info.duration_s + _LATE_S
    finished = takewhile(
        lambda pair: all(one.end_s <= until_s for one in pair), zip(*held.values(), strict=False)
    )
    pairs = len(list(finished))
    if not pairs:
        raise ResultsError(
            f"{run.path / 'run.json'}: field config.blocks: the run ended before each subject had "
            "had a whole turn.",
            hint="Run longer (--run-time).",
        )
    last_s = round(run.info.duration_s) + 1
    return {name: _seconds(mine, pairs, last_s) for name, mine in held.items()}


def _seconds(blocks: Sequence[AlternationBlock], pairs: int, last_s: int) -> dict[int, int]:
    """From a block's first second to before the subject's next: the block's number."""
    starts = [round(one.start_s) for one in blocks]
    ends = [*starts[1:], max(last_s, round(blocks[-1].end_s))]
    return {
        second: pair
        for pair, (start, end) in enumerate(zip(starts[:pairs], ends[:pairs], strict=True))
        for second in range(start, end)
    }
