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
from typing import Literal, Protocol

import numpy as np

from loadtests.judge.distributions import t_quantile
from loadtests.judge.quantiles import Quantile
from loadtests.judge.ratios import Shocks, Spread

Side = Literal["high", "low"]


class Part(Protocol):
    """One pattern's ratio."""

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

    def shocks(self, side: Side, level: float) -> tuple[Shocks, ...]:
        """What each run, or pair of them, adds to the log ratio second by second."""


@dataclass(frozen=True, slots=True)
class WholeRatio:
    """The geometric mean of the ratios of several patterns, all measured in the same runs."""

    parts: Sequence[Part]

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

    def _distance(self, side: Side, level: float) -> float:
        square = 0.0
        for run in zip(*(one.shocks(side, level) for one in self.parts), strict=True):
            square += _mean(run).distance(level) ** 2
        spread = self.parts[0].spread
        if spread is not None:
            runs = 1.0 / len(self.parts[0].subjects) + 1.0 / len(self.parts[0].references)
            deviations = t_quantile(1.0 - level, spread.degrees)
            square += deviations * deviations * spread.variance * runs
        return math.sqrt(square)


def _mean(parts: Sequence[Shocks]) -> Shocks:
    """The mean over patterns: what they feel together stays, independent noise shrinks."""
    alone = math.fsum(one.alone for one in parts) / len(parts) ** 2
    if not math.isfinite(alone):
        return Shocks(parts[0].by_unit, math.inf)
    return Shocks(np.mean([one.by_unit for one in parts], axis=0), alone)
