"""What is compared: a ratio and what it is of, pattern by pattern and all patterns together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loadtests.judge.quantiles import Quantile
from loadtests.judge.whole import Part, WholeRatio
from loadtests.patterns import ALL_PATTERNS


class Bounds(Protocol):
    """A ratio with bounds at any one-sided level, and the quantiles it is made of."""

    @property
    def estimate(self) -> float:
        """The ratio itself."""

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantile in each of its runs."""

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantiles."""

    def low(self, level: float, /) -> float:
        """Lower bound, too high with probability `level`."""

    def high(self, level: float, /) -> float:
        """Upper bound, too low with probability `level`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A ratio and what it is of; `part` is what it contributes to the mean over all patterns."""

    subject: str
    reference: str
    pattern: str
    metric: str
    percentile: str
    ratio: Bounds
    part: Part | None = None


def wholes_of(pairs: Sequence[Pair]) -> list[Pair]:
    """The mean over all access patterns of each percentile and two subjects, where several are."""
    groups: dict[tuple[str, str, str, str], list[Pair]] = defaultdict(list)
    for one in pairs:
        groups[one.subject, one.reference, one.metric, one.percentile].append(one)
    return [
        Pair(subject, reference, ALL_PATTERNS, metric, percentile, WholeRatio(_parts(held)))
        for (subject, reference, metric, percentile), held in groups.items()
        if len(held) > 1 and len(_parts(held)) == len(held)
    ]


def _parts(pairs: Sequence[Pair]) -> list[Part]:
    return [one.part for one in pairs if one.part is not None]
