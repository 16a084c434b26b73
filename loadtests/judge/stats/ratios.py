"""Ratios of two quantiles with bounds: against a baseline, between runs, between two subjects.

All bounds are computed on the logarithms. For different runs, the bounds of the difference come
from those of its two parts (Zou and Donner, "MOVER", Statistics in Medicine 2008), with the
between-run variance where there are several runs. For the same seconds of one run, what affects
both subjects is removed first.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from loadtests.judge.stats.autocorrelation import (
    critical_value,
    effective_degrees_of_freedom,
    long_run_variance,
)
from loadtests.judge.stats.distributions import (
    TailProbability,
    normal_quantile,
    t_quantile,
    two_sided,
)
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.samples import Floats

Side = Literal["high", "low"]
_NO_BOUND: Final = 7.0  # a log ratio this far away, a factor of 1,100, bounds nothing


@dataclass(frozen=True, slots=True)
class BetweenRunVariance:
    """The variance of a log quantile from run to run, and its degrees of freedom."""

    variance: float
    degrees_of_freedom: float

    def squared_half_width(self, subjects: int, references: int, alpha: TailProbability) -> float:
        """Squared half-width of a log ratio that this variance adds, for so many runs of each."""
        deviations = t_quantile(1.0 - alpha, self.degrees_of_freedom)
        return deviations * deviations * self.variance * (1.0 / subjects + 1.0 / references)


@dataclass(frozen=True, slots=True)
class Contributions:
    """Contributions to a log ratio by unit of time, and the variance of their sum if independent.

    `independent_variance` is inf where the sample is too small for a bound.
    """

    by_unit: Floats
    independent_variance: float

    def half_width(self, alpha: TailProbability) -> float:
        """Distance of a bound from the log ratio; inf if the sample is too small.

        The variance is at least that of independent calls at random moments.
        """
        if not math.isfinite(self.independent_variance):
            return math.inf
        variance = max(long_run_variance(self.by_unit), self.independent_variance)
        if not variance:
            return 0.0
        design_effect = (
            variance / self.independent_variance if self.independent_variance else math.inf
        )
        degrees = effective_degrees_of_freedom(self.by_unit)
        return math.sqrt(variance) * critical_value(design_effect, degrees, alpha)


class Ratio(ABC):
    """A ratio of two quantiles with bounds at any one-sided error probability."""

    __slots__ = ()

    @property
    @abstractmethod
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantile in each of its runs."""

    @property
    @abstractmethod
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantile in each of its runs."""

    @property
    @abstractmethod
    def estimate(self) -> float:
        """The ratio: 1.10 means that the subject is 10% slower."""

    @property
    def between_runs(self) -> BetweenRunVariance | None:
        """The variance between runs; None for single runs."""
        return None

    @abstractmethod
    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        """What each run, or pair of subjects, adds to the log ratio, for a bound on that side."""

    @abstractmethod
    def half_width(self, side: Side, alpha: TailProbability) -> float:
        """Distance of a bound from the log ratio; inf if the sample is too small."""

    def high(self, alpha: TailProbability) -> float:
        """Upper bound, too low with probability `alpha`; inf if the sample is too small."""
        width = self.half_width("high", alpha)
        return self.estimate * math.exp(width) if width < _NO_BOUND else math.inf

    def low(self, alpha: TailProbability) -> float:
        """Lower bound, too high with probability `alpha`; 0 if the sample is too small."""
        width = self.half_width("low", alpha)
        return self.estimate * math.exp(-width) if width < _NO_BOUND else 0.0


@dataclass(frozen=True, slots=True)
class UnpairedRatio(Ratio):
    """The geometric mean of the subject's runs over that of the reference's."""

    subject_runs: tuple[Quantile, ...]
    reference_runs: tuple[Quantile, ...]
    run_variance: BetweenRunVariance | None = None

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """The subject's quantile in each of its runs."""
        return self.subject_runs

    @property
    def references(self) -> tuple[Quantile, ...]:
        """The reference's quantile in each of its runs."""
        return self.reference_runs

    @property
    def between_runs(self) -> BetweenRunVariance | None:
        """The variance between runs; None for single runs."""
        return self.run_variance

    @property
    def estimate(self) -> float:
        """The ratio: 1.10 means that the subject is 10% slower."""
        return math.exp(_mean_log(self.subjects) - _mean_log(self.references))

    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        """What each run adds to the log ratio, for a bound on that side."""
        subject_distance, reference_distance = _distances(side)
        deviations = normal_quantile(1.0 - alpha)
        return tuple(
            _contributions([(run, distance(run.as_independent(), alpha) / deviations / len(runs))])
            for runs, distance in (
                (self.subjects, subject_distance),
                (self.references, reference_distance),
            )
            for run in runs
        )

    def half_width(self, side: Side, alpha: TailProbability) -> float:
        """Distance of a bound from the log ratio; inf if the sample is too small."""
        subject_distance, reference_distance = _distances(side)
        own = _combined(self.subjects, subject_distance, alpha)
        other = _combined(self.references, reference_distance, alpha)
        if not (math.isfinite(own) and math.isfinite(other)):
            return math.inf
        square = own * own + other * other
        if self.between_runs is not None:
            square += self.between_runs.squared_half_width(
                len(self.subjects), len(self.references), alpha
            )
        return math.sqrt(square)


@dataclass(frozen=True, slots=True)
class PairedRatio(Ratio):
    """`subject` over `reference`, measured over the same units of one run.

    What affects both cancels: the variance is that of the difference of their residuals, each
    scaled to its own log quantile, and at least that of independent calls at random moments.
    Raises ValueError when their units differ.
    """

    subject: Quantile
    reference: Quantile

    def __post_init__(self) -> None:
        if self.subject.residuals.size != self.reference.residuals.size:
            raise ValueError("the two series have different units of time")

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
        """The ratio: 1.10 means that the subject is 10% slower."""
        return math.exp(_log(self.subject.estimate_ms) - _log(self.reference.estimate_ms))

    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        """What both subjects add to the log ratio, for a bound on that side."""
        subject_distance, reference_distance = _distances(side)
        deviations = normal_quantile(1.0 - alpha)
        step = subject_distance(self.subject.as_independent(), alpha) / deviations
        other_step = reference_distance(self.reference.as_independent(), alpha) / deviations
        return (_contributions([(self.subject, step), (self.reference, -other_step)]),)

    def half_width(self, side: Side, alpha: TailProbability) -> float:
        """Distance of a bound from the log ratio; inf if the sample is too small."""
        (difference,) = self.contributions(side, alpha)
        return difference.half_width(alpha)


def between_run_variance(*groups: Sequence[Sequence[Quantile]]) -> BetweenRunVariance | None:
    """Variance between runs of the same kind, pooled over access patterns; None for single runs.

    A group is a set of runs: `group[p][r]` is the quantile of pattern p in run r. The variance of
    the log quantiles beyond their sampling variance is between runs (method of moments: DerSimonian
    and Laird, Controlled Clinical Trials 1986). Patterns share the machine, so P of them count as
    P / (1 + (P - 1) / 2) independent ones (design effect at a correlation of 1/2; Kish 1965).
    """
    square = weight = degrees = 0.0
    for group in groups:
        if not group or len(group[0]) < 2:
            continue
        run_degrees = len(group[0]) - 1
        excess = [variance for variance in map(_excess, group) if math.isfinite(variance)]
        if not excess:  # every pattern has too few calls
            continue
        square += run_degrees * sum(excess) / len(excess)
        weight += run_degrees
        degrees += run_degrees * len(excess) / (1.0 + (len(excess) - 1) / 2.0)
    return BetweenRunVariance(max(0.0, square / weight), degrees) if weight else None


def _excess(runs: Sequence[Quantile]) -> float:
    """The variance of the log quantiles beyond their sampling variance."""
    logs = [_log(run.estimate_ms) for run in runs]
    return float(np.var(logs, ddof=1)) - sum(log_variance(run) for run in runs) / len(runs)


def log_variance(quantile: Quantile) -> float:
    """The sampling variance of a log quantile, from its 95% interval; inf if there is none."""
    alpha = two_sided(0.95)
    width = _distance_up(quantile, alpha) + _distance_down(quantile, alpha)
    return (width / (2.0 * normal_quantile(1.0 - alpha))) ** 2


Distance = Callable[[Quantile, TailProbability], float]


def _distances(side: Side) -> tuple[Distance, Distance]:
    """Which bounds of subject and reference move the ratio towards that side."""
    return (_distance_up, _distance_down) if side == "high" else (_distance_down, _distance_up)


def _contributions(scaled: Sequence[tuple[Quantile, float]]) -> Contributions:
    """The sum of residuals, each times its factor: log ratio per standard deviation of calls."""
    variance = sum(factor * factor for _, factor in scaled)
    if not math.isfinite(variance):
        return Contributions(np.zeros(0), math.inf)
    by_unit = np.sum([factor * quantile.residuals for quantile, factor in scaled], axis=0)
    return Contributions(by_unit, variance)


def _mean_log(runs: Sequence[Quantile]) -> float:
    return sum(_log(run.estimate_ms) for run in runs) / len(runs)


def _combined(runs: Sequence[Quantile], distance: Distance, alpha: TailProbability) -> float:
    return math.sqrt(sum(distance(run, alpha) ** 2 for run in runs)) / len(runs)


def _distance_up(quantile: Quantile, alpha: TailProbability) -> float:
    return _log(quantile.high_ms(alpha)) - _log(quantile.estimate_ms)


def _distance_down(quantile: Quantile, alpha: TailProbability) -> float:
    low_ms = quantile.low_ms(alpha)
    return _log(quantile.estimate_ms) - _log(low_ms) if low_ms else math.inf


def _log(value_ms: float) -> float:
    return math.log(max(value_ms, 1e-6))  # at least one nanosecond
