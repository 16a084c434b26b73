"""Ratios of two quantiles with bounds: against baselines, between runs, between two subjects.

Apart, the bounds of a difference come from those of its two parts (Zou and Donner, "MOVER",
Statistics in Medicine 2008), on the logarithms of the quantiles, with the variation between runs
where there are several. Measured over the same seconds, what both felt is taken out first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from loadtests.judge.stats.autocorrelation import degrees_in, deviations_of, long_run_variance
from loadtests.judge.stats.distributions import normal_quantile, t_quantile
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.samples import Floats

Side = Literal["high", "low"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Variation of a log quantile from run to run: its variance and degrees of freedom."""

    variance: float
    degrees: float

    def square(self, subjects: int, references: int, level: float) -> float:
        """The square of how far it moves a bound of the log ratio of so many runs each."""
        deviations = t_quantile(1.0 - level, self.degrees)
        return deviations * deviations * self.variance * (1.0 / subjects + 1.0 / references)


@dataclass(frozen=True, slots=True)
class Shocks:
    """Deviations of a log ratio by unit of time, and their sum's variance were calls independent.

    `alone` is inf where the sample carries no bound.
    """

    by_unit: Floats
    alone: float

    def distance(self, level: float) -> float:
        """How far a bound lies from the log ratio; inf when not carried.

        The variance is never below that of independent calls at random moments.
        """
        if not math.isfinite(self.alone):
            return math.inf
        variance = max(long_run_variance(self.by_unit), self.alone)
        if not variance:
            return 0.0
        likeness = variance / self.alone if self.alone else math.inf
        return math.sqrt(variance) * deviations_of(likeness, degrees_in(self.by_unit), level)


@dataclass(frozen=True, slots=True)
class Ratio:
    """The geometric mean of `subjects` over that of `references`, one quantile a run.

    `spread` is the variation between runs, where there are several on either side.
    """

    subjects: tuple[Quantile, ...]
    references: tuple[Quantile, ...]
    spread: Spread | None = None

    @property
    def estimate(self) -> float:
        """The ratio itself: 1.10 is 10% slower."""
        return math.exp(_mean_log(self.subjects) - _mean_log(self.references))

    def high(self, level: float) -> float:
        """Upper bound that is too low with probability `level`; inf when not carried."""
        up, down = _combined(self.subjects, _up, level), _combined(self.references, _down, level)
        return self.estimate * math.exp(self._distance(up, down, level))

    def low(self, level: float) -> float:
        """Lower bound that is too high with probability `level`; 0 when there is none."""
        down, up = _combined(self.subjects, _down, level), _combined(self.references, _up, level)
        return self.estimate * math.exp(-self._distance(down, up, level))

    def shocks(self, side: Side, level: float) -> tuple[Shocks, ...]:
        """What each run adds to the log ratio second by second, for a bound on that side."""
        own, other = (_up, _down) if side == "high" else (_down, _up)
        deviations = normal_quantile(1.0 - level)
        return tuple(
            _shocks([(one, far(_alone(one), level) / deviations / len(runs))])
            for runs, far in ((self.subjects, own), (self.references, other))
            for one in runs
        )

    def _distance(self, own: float, other: float, level: float) -> float:
        if not (math.isfinite(own) and math.isfinite(other)):
            return math.inf
        square = own * own + other * other
        if self.spread is not None:
            square += self.spread.square(len(self.subjects), len(self.references), level)
        return math.sqrt(max(0.0, square))


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """`subject` over `reference`, measured over the same units of one run.

    What both felt alike cancels: the variance is that of the difference of their residuals, each
    in steps of its own log quantile, and never below that of independent calls at random moments.
    """

    subject: Quantile
    reference: Quantile

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject alone."""
        return (self.subject,)

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference alone."""
        return (self.reference,)

    @property
    def estimate(self) -> float:
        """The ratio itself."""
        return math.exp(_log(self.subject.estimate_ms) - _log(self.reference.estimate_ms))

    @property
    def spread(self) -> Spread | None:
        """None: within one run there is no variation between runs."""
        return None

    def high(self, level: float) -> float:
        """Upper bound that is too low with probability `level`; inf when not carried."""
        return self.estimate * math.exp(self._distance("high", level))

    def low(self, level: float) -> float:
        """Lower bound that is too high with probability `level`; 0 when there is none."""
        return self.estimate * math.exp(-self._distance("low", level))

    def shocks(self, side: Side, level: float) -> tuple[Shocks, ...]:
        """What both add to the log ratio second by second, for a bound on that side."""
        own, other = (_up, _down) if side == "high" else (_down, _up)
        deviations = normal_quantile(1.0 - level)
        step = own(_alone(self.subject), level) / deviations
        other_step = other(_alone(self.reference), level) / deviations
        return (_shocks([(self.subject, step), (self.reference, -other_step)]),)

    def _distance(self, side: Side, level: float) -> float:
        (found,) = self.shocks(side, level)
        return found.distance(level)


def together(subject: Quantile, reference: Quantile) -> PairedRatio:
    """The ratio of two series of one run. Raises ValueError when their units differ."""
    if subject.residuals.size != reference.residuals.size:
        raise ValueError("the two series have different units of time")
    return PairedRatio(subject, reference)


def spread_of(*groups: Sequence[Sequence[Quantile]]) -> Spread | None:
    """Variation between runs made alike, pooled over access patterns; None for single runs.

    A group is a set of runs: `group[p][r]` is pattern p's quantile in run r. What its logs vary
    beyond their sampling variance is between runs (method of moments: DerSimonian and Laird,
    Controlled Clinical Trials 1986). Patterns share the machine, so P of them count as
    P / (1 + (P - 1) / 2) independent ones.
    """
    square = weight = degrees = 0.0
    for group in groups:
        if not group or len(group[0]) < 2:
            continue
        more = len(group[0]) - 1
        excess = [one for one in map(_excess, group) if math.isfinite(one)]
        if not excess:  # no pattern has calls enough to tell
            continue
        square += more * sum(excess) / len(excess)
        weight += more
        degrees += more * len(excess) / (1.0 + (len(excess) - 1) / 2.0)
    return Spread(max(0.0, square / weight), degrees) if weight else None


def _excess(runs: Sequence[Quantile]) -> float:
    logs = [_log(one.estimate_ms) for one in runs]
    return float(np.var(logs, ddof=1)) - sum(log_variance(one) for one in runs) / len(runs)


def log_variance(quantile: Quantile) -> float:
    """The sampling variance of a log quantile, read off its 95% interval; inf when not carried."""
    width = _up(quantile, 0.025) + _down(quantile, 0.025)
    return (width / (2.0 * normal_quantile(0.975))) ** 2


def _shocks(steps: Sequence[tuple[Quantile, float]]) -> Shocks:
    alone = sum(step * step for _, step in steps)
    if not math.isfinite(alone):
        return Shocks(np.zeros(0), math.inf)
    return Shocks(np.sum([step * one.residuals for one, step in steps], axis=0), alone)


def _alone(quantile: Quantile) -> Quantile:
    """The same as if its calls were independent."""
    return replace(quantile, independent=True, _seen={})


def _mean_log(runs: Sequence[Quantile]) -> float:
    return sum(_log(one.estimate_ms) for one in runs) / len(runs)


def _combined(
    runs: Sequence[Quantile], distance: Callable[[Quantile, float], float], level: float
) -> float:
    return math.sqrt(sum(distance(one, level) ** 2 for one in runs)) / len(runs)


def _up(one: Quantile, level: float) -> float:
    return _log(one.high_ms(level)) - _log(one.estimate_ms)


def _down(one: Quantile, level: float) -> float:
    low = one.low_ms(level)
    return _log(one.estimate_ms) - _log(low) if low else math.inf


def _log(value_ms: float) -> float:
    return math.log(max(value_ms, 1e-6))  # a nanosecond at least
