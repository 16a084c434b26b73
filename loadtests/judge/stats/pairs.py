"""What is compared: a ratio and what it is of, pattern by pattern and all patterns together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.judge.stats.overall import Bounds, WholeRatio
from loadtests.patterns import ALL_PATTERNS


@dataclass(frozen=True, slots=True)
class Pair:
    """A ratio and what it is of."""

    subject: str
    reference: str
    pattern: str
    metric: str
    percentile: str
    ratio: Bounds


def wholes_of(pairs: Sequence[Pair]) -> list[Pair]:
    """The mean over all access patterns of each percentile and two subjects, where several are."""
    groups: dict[tuple[str, str, str, str], list[Pair]] = defaultdict(list)
    for one in pairs:
        groups[one.subject, one.reference, one.metric, one.percentile].append(one)
    return [
        Pair(a, b, ALL_PATTERNS, metric, percentile, WholeRatio([one.ratio for one in held]))
        for (a, b, metric, percentile), held in groups.items()
        if len(held) > 1
    ]
