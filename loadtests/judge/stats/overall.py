"""All access patterns of a backend as one: how much slower are they on average?

One pattern's p99 rests on a few dozen calls. A change that hits them all (a driver, an instance
type, a noisy neighbour) shows in the mean of their log ratios, which has all their calls behind it.
What patterns feel together does not average out, so the variance is not summed up but taken from
the mean itself, second by second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loadtests.judge.stats.distributions import normal_cdf, normal_quantile
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import Shocks, Side, Spread
from loadtests.order_statistics import min_calls


class Bounds(Protocol):
    """A ratio with bounds at any one-sided level, and what it adds to a mean of several."""

    @property
    def estimate(self) -> float:
        """The ratio itself."""

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantile in each of its runs."""

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantiles."""

    @property
    def spread(self) -> Spread | None:
        """The variation between runs, where there are several."""

    def low(self, level: float, /) -> float:
        """Lower bound, too high with probability `level`."""

    def high(self, level: float, /) -> float:
        """Upper bound, too low with probability `level`."""

    def shocks(self, side: Side, level: float, /) -> tuple[Shocks, ...]:
        """What each run, or pair of them, adds to the log ratio second by second."""


@dataclass(frozen=True, slots=True)
class WholeRatio:
    """The geometric mean of the ratios of several patterns, all measured in the same runs."""

    parts: Sequence[Bounds]

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantiles, of every pattern and run."""
        return tuple(one for part in self.parts for one in part.subjects)

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantiles."""
        return tuple(one for part in self.parts for one in part.references)

    @property
    def estimate(self) -> float:
        """The ratio itself: 1.10 says that patterns are 10% slower on average."""
        return math.exp(math.fsum(math.log(one.estimate) for one in self.parts) / len(self.parts))

    def high(self, level: float) -> float:
        """Upper bound that is too low with probability `level`; inf when not carried."""
        return self.estimate * math.exp(self._distance("high", level))

    def low(self, level: float) -> float:
        """Lower bound that is too high with probability `level`; 0 when there is none."""
        return self.estimate * math.exp(-self._distance("low", level))

    @property
    def spread(self) -> Spread | None:
        """The patterns' own, which is pooled over them."""
        return self.parts[0].spread

    def shocks(self, side: Side, level: float) -> tuple[Shocks, ...]:
        """The mean over the patterns of what each run adds."""
        level = level_of_part(level, len(self.parts))
        runs = zip(*(one.shocks(side, level) for one in self.parts), strict=True)
        return tuple(_mean(run) for run in runs)

    def _distance(self, side: Side, level: float) -> float:
        if not self._carried(side, level):
            return math.inf
        square = math.fsum(run.distance(level) ** 2 for run in self.shocks(side, level))
        if self.spread is not None:
            one = self.parts[0]
            square += self.spread.square(len(one.subjects), len(one.references), level)
        return math.sqrt(square)

    def _carried(self, side: Side, level: float) -> bool:
        """Whether each pattern's own far quantile is: a mean of guesses would be no better."""
        far = self.subjects if side == "high" else self.references
        return all(one.calls >= min_calls(one.q, level) for one in far)


def level_of_part(level: float, count: int) -> float:
    """The level at which a part's bounds are as lopsided as those of a mean of `count` at `level`.

    The skewness of a mean of independent parts is theirs over √count, so z deviations of it are as
    lopsided as z / √count of a part. Three deviations of a p99 that forty calls lie above are 20%
    further on the one side than on the other, and nine such patterns never deviate so together.
    """
    return 1.0 - normal_cdf(normal_quantile(1.0 - level) / math.sqrt(count))


def _mean(parts: Sequence[Shocks]) -> Shocks:
    """The mean over patterns: what they feel together stays, independent noise shrinks."""
    alone = math.fsum(one.alone for one in parts) / len(parts) ** 2
    if not math.isfinite(alone):
        return Shocks(parts[0].by_unit, math.inf)
    return Shocks(np.mean([one.by_unit for one in parts], axis=0), alone)
