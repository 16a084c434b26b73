"""Two subjects measured in one run: what both felt alike cancels out of their ratio.

They run side by side (each second is then a unit of both), or take turns in blocks that run.json
lists as `config.blocks`: `[{"subject": "dynamodb/boto3", "start_s": 10, "end_s": 20}, …]`, where
the i-th block of one and the i-th of the other are a pair.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import Compared, Comparison, Pair, Subject, decide
from loadtests.judge.measured import Measured
from loadtests.judge.quantiles import estimate
from loadtests.judge.ratios import together
from loadtests.judge.samples import Samples, by_block
from loadtests.measure.results import PERCENTILES, Key, Run
from loadtests.patterns import PATTERNS

_NO_LIMITS = Relative(p50=None, p90=None, p99=None)


def compare_backends(
    run: Run,
    *,
    metric: str = "response_time",
    confidence: float = 0.95,
    percentiles: Collection[str] = PERCENTILES,
) -> list[Compared]:
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
    subject: Subject,
    reference: Subject,
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
            hint="The run holds " + ", ".join(map(str, subjects_of(run))) + ".",
        )
    validity = run.info.validity
    reasons = () if validity and validity.valid else (f"{run.info.id}: the run does not count.",)
    return Comparison(decide(pairs, allowed, confidence), reasons)


def subjects_of(run: Run) -> list[Subject]:
    """Every backend and driver that a run measured."""
    found = {Subject(one.backend, one.driver) for one in run.info.series if one.count}
    return sorted(found, key=str)


def interleaved_pairs(
    run: Run,
    subject: Subject,
    reference: Subject,
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
            ratio = together(estimate(sides[0], q), estimate(sides[1], q))
            pairs.append(Pair(str(subject), str(reference), pattern, metric, percentile, ratio))
    return pairs


Units = Mapping[str, Mapping[int, int]]


def _samples(
    measured: Measured, subject: Subject, pattern: str, metric: str, units: Units | None
) -> Samples:
    key = Key(subject.backend, subject.driver, pattern, metric)
    if units is None:
        return measured.samples(key)
    return by_block(measured.run.intervals.get(key, []), units.get(str(subject), {}))


def _units(run: Run) -> Units | None:
    """Which pair of blocks each second of each subject belongs to; None when side by side.

    Raises ResultsError for a block map that cannot be meant.
    """
    blocks = run.info.config.get("blocks")
    if blocks is None:
        return None
    file = run.path / "run.json"
    found: dict[str, list[range]] = {}
    for number, block in enumerate(blocks if isinstance(blocks, list) else [None]):
        held = _block(block)
        if held is None:
            raise ResultsError(
                f"{file}: field config.blocks.{number}: not a block with subject, start_s, end_s.",
                hint="Repeat the run.",
            )
        found.setdefault(held[0], []).append(held[1])
    pairs = min(map(len, found.values()), default=0)
    return {
        name: {second: pair for pair, seconds in enumerate(held[:pairs]) for second in seconds}
        for name, held in found.items()
    }


def _block(block: Any) -> tuple[str, range] | None:
    if not isinstance(block, Mapping):
        return None
    name, start, end = (block.get(field) for field in ("subject", "start_s", "end_s"))
    numbers: Sequence[Any] = (start, end)
    if not isinstance(name, str) or not all(
        isinstance(one, int | float) and math.isfinite(one) for one in numbers
    ):
        return None
    return (name, range(round(numbers[0]), round(numbers[1]))) if numbers[0] < numbers[1] else None
