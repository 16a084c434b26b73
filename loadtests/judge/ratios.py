"""Ratios of two quantiles with bounds: against baselines, between runs, between two subjects.

Bounds of a difference from the bounds of its two parts (Zou and Donner, "MOVER", Statistics in
Medicine 2008), on the logarithms of the quantiles, with the parts' correlation where both were
measured in the same seconds, and the variation between runs where a baseline holds several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.judge.distributions import t_quantile
from loadtests.judge.quantiles import Quantile


@dataclass(frozen=True, slots=True)
class Spread:
    """Variation of a log quantile from run to run: its variance and degrees of freedom."""

    variance: float
    degrees: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """`subject` over the geometric mean of `references`.

    `correlation` of the two estimates, where they share their seconds; `spread` between runs,
    where there are several references.
    """

    subject: Quantile
    references: tuple[Quantile, ...]
    correlation: float = 0.0
    spread: Spread | None = None

    @property
    def estimate(self) -> float:
        """The ratio itself: 1.10 is 10% slower."""
        logs = [_log(one.estimate_ms) for one in self.references]
        return math.exp(_log(self.subject.estimate_ms) - sum(logs) / len(logs))

    def high(self, level: float) -> float:
        """Upper bound that is too low with probability `level`; inf when not carried."""
        return self.estimate * math.exp(
            self._distance(
                _up(self.subject, level), [_down(one, level) for one in self.references], level
            )
        )

    def low(self, level: float) -> float:
        """Lower bound that is too high with probability `level`; 0 when there is none."""
        return self.estimate * math.exp(
            -self._distance(
                _down(self.subject, level), [_up(one, level) for one in self.references], level
            )
        )

    def _distance(self, own: float, others: Sequence[float], level: float) -> float:
        if not all(map(math.isfinite, (own, *others))):
            return math.inf
        runs = len(others)
        other = math.sqrt(sum(one * one for one in others)) / runs
        square = own * own + other * other - 2.0 * self.correlation * own * other
        if self.spread is not None:
            deviations = t_quantile(1.0 - level, self.spread.degrees)
            square += deviations * deviations * self.spread.variance * (1.0 + 1.0 / runs)
        return math.sqrt(max(0.0, square))


def together(subject: Quantile, reference: Quantile) -> Ratio:
    """The ratio of two series measured over the same units of one run.

    What both felt alike cancels: the correlation is that of their cosine transforms.
    """
    a, b = subject.transforms, reference.transforms
    if a.size != b.size:
        raise ValueError("the two series have different units of time")
    size = math.sqrt(float(a @ a) * float(b @ b))
    noise_a = max(float(a @ a), a.size)  # likeness below 1 is taken for 1, and so weakens
    noise_b = max(float(b @ b), b.size)
    correlation = float(a @ b) / math.sqrt(noise_a * noise_b) if size else 0.0
    return Ratio(subject, (reference,), correlation)


def spread_of(logs: Sequence[Sequence[float]], within: Sequence[Sequence[float]]) -> Spread | None:
    """Variation between runs, pooled over access patterns; None for a single run.

    `logs[p][r]` is pattern p's log quantile in run r, `within` its sampling variance: what is
    found beyond that is between runs (method of moments, DerSimonian and Laird 1986). Patterns
    share the machine, so P of them count as P / (1 + (P - 1) / 2) independent ones.
    """
    runs = min((len(one) for one in logs), default=0)
    if runs < 2:
        return None
    excess = [
        float(np.var(one, ddof=1)) - float(np.mean(noise))
        for one, noise in zip(logs, within, strict=True)
    ]
    patterns = len(excess)
    degrees = (runs - 1) * patterns / (1.0 + (patterns - 1) / 2.0)
    return Spread(max(0.0, float(np.mean(excess))), degrees)


def log_variance(quantile: Quantile) -> float:
    """The sampling variance of a log quantile, read off its 95% interval; inf when not carried."""
    width = _up(quantile, 0.025) + _down(quantile, 0.025)
    return (width / (2 * 1.96)) ** 2


def _up(one: Quantile, level: float) -> float:
    return _log(one.high_ms(level)) - _log(one.estimate_ms)


def _down(one: Quantile, level: float) -> float:
    low = one.low_ms(level)
    return _log(one.estimate_ms) - _log(low) if low else math.inf


def _log(value_ms: float) -> float:
    return math.log(max(value_ms, 1e-6))  # a nanosecond at least
