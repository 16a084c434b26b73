"""The overall ratio of a backend: the mean over its access patterns.

The p99 of one pattern depends on a few dozen calls. A change that affects every pattern (a driver,
an instance type, a busy neighbour) shows in the mean of their log ratios, which has all their calls
behind it. What affects the patterns at once does not average out, so the variance of the mean is
not the sum of theirs: it is estimated from the mean itself, second by second.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.judge.stats.distributions import TailProbability, normal_cdf, normal_quantile
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import BetweenRunVariance, Contributions, Ratio, Side
from loadtests.order_statistics import min_calls
from loadtests.patterns import ALL_PATTERNS


@dataclass(frozen=True, slots=True)
class OverallRatio(Ratio):
    """The geometric mean of the ratios of several patterns, all measured in the same runs."""

    patterns: Sequence[Ratio]

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantiles, of every pattern and run."""
        return tuple(quantile for ratio in self.patterns for quantile in ratio.subjects)

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantiles, of every pattern and run."""
        return tuple(quantile for ratio in self.patterns for quantile in ratio.references)

    @property
    def estimate(self) -> float:
        """The ratio: 1.10 means that patterns are 10% slower on average."""
        logs = math.fsum(math.log(ratio.estimate) for ratio in self.patterns)
        return math.exp(logs / len(self.patterns))

    @property
    def between_runs(self) -> BetweenRunVariance | None:
        """That of the patterns, over which it is pooled."""
        return self.patterns[0].between_runs

    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        """The mean over the patterns of what each run adds."""
        alpha = pattern_alpha(alpha, len(self.patterns))
        by_pattern = (ratio.contributions(side, alpha) for ratio in self.patterns)
        return tuple(_mean(run) for run in zip(*by_pattern, strict=True))

    def half_width(self, side: Side, alpha: TailProbability) -> float:
        """Distance of a bound from the log ratio; inf if the sample is too small."""
        if not self._resolvable(side, alpha):
            return math.inf
        square = math.fsum(run.half_width(alpha) ** 2 for run in self.contributions(side, alpha))
        if self.between_runs is not None:
            first = self.patterns[0]
            square += self.between_runs.squared_half_width(
                len(first.subjects), len(first.references), alpha
            )
        return math.sqrt(square)

    def _resolvable(self, side: Side, alpha: TailProbability) -> bool:
        """True if every pattern has enough calls for its own bound.

        An average of unbounded values has no bound.
        """
        quantiles = self.subjects if side == "high" else self.references
        return all(quantile.calls >= min_calls(quantile.q, alpha) for quantile in quantiles)


def pattern_alpha(alpha: TailProbability, count: int) -> TailProbability:
    """The error probability at which a pattern's bounds are as skewed as those of the mean.

    The skewness of a mean of `count` independent variables is theirs over √count, so z standard
    deviations of the mean are as skewed as z / √count of one pattern. With forty calls above a p99,
    three deviations up are 20% longer than three down; nine such patterns never deviate that far
    together.
    """
    return TailProbability(1.0 - normal_cdf(normal_quantile(1.0 - alpha) / math.sqrt(count)))


def _mean(contributions: Sequence[Contributions]) -> Contributions:
    """The mean over patterns: what affects all remains, independent noise shrinks."""
    count = len(contributions)
    variance = math.fsum(part.independent_variance for part in contributions) / count**2
    if not math.isfinite(variance):
        return Contributions(contributions[0].by_unit, math.inf)
    by_unit = np.mean([part.by_unit for part in contributions], axis=0)
    return Contributions(by_unit, variance)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSeries:
    """A ratio and the series and percentile that it compares."""

    subject: str
    reference: str
    pattern: str
    metric: str
    percentile: str
    ratio: Ratio

    @property
    def is_overall(self) -> bool:
        """Whether it compares all access patterns of a backend at once."""
        return self.pattern == ALL_PATTERNS


def overall_comparisons(comparisons: Sequence[ComparedSeries]) -> list[ComparedSeries]:
    """The overall ratio of each percentile and two subjects that have several access patterns."""
    groups: dict[tuple[str, str, str, str], list[ComparedSeries]] = defaultdict(list)
    for compared in comparisons:
        group = (compared.subject, compared.reference, compared.metric, compared.percentile)
        groups[group].append(compared)
    return [
        ComparedSeries(
            subject=subject,
            reference=reference,
            pattern=ALL_PATTERNS,
            metric=metric,
            percentile=percentile,
            ratio=OverallRatio([compared.ratio for compared in group]),
        )
        for (subject, reference, metric, percentile), group in groups.items()
        if len(group) > 1
    ]
