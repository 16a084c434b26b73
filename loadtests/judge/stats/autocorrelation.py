"""The long-run variance of a sum over units of time whose neighbours are correlated.

Prewhitened by an autoregression (Andrews and Monahan, Econometrica 1992), then the mean of the
lowest squared cosine transforms (Lazarus, Lewis, Stock and Watson, "HAR Inference", JBES 2018).
The autoregression's coefficient is taken from the autocorrelations at lags 1 to 3, not from the
variance: the independent noise of counting calls adds to the variance only.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from loadtests.judge.stats.distributions import TailProbability, normal_quantile, t_quantile
from loadtests.judge.stats.samples import Floats

MIN_UNITS: Final = 10  # fewer units do not show autocorrelation
MAX_AR1_COEFFICIENT: Final = 0.97
MAX_PREWHITENING_FACTOR: Final = 3.0  # over the estimate without prewhitening
NORMAL_DEGREES_OF_FREEDOM: Final = 10_000.0  # from here on Student's t equals the normal


def degrees_of_freedom(units: int) -> int:
    """Degrees of freedom of a long-run variance: 0.4 × units^(2/3); 0 for under ten units.

    They are the number of cosine transforms (Lazarus, Lewis, Stock and Watson 2018).
    """
    return round(0.4 * units ** (2 / 3)) if units >= MIN_UNITS else 0


def effective_degrees_of_freedom(residuals: Floats) -> float:
    """`degrees_of_freedom`, or fewer where a few units hold most of the deviation.

    Kish's effective sample size of the squared residuals, less one (Kish, Survey Sampling 1965).
    """
    squares = residuals * residuals
    fourth = float(squares @ squares)
    if not fourth:
        return degrees_of_freedom(residuals.size)
    effective_units = float(squares.sum()) ** 2 / fourth
    return min(degrees_of_freedom(residuals.size), max(1.0, effective_units - 1.0))


def long_run_variance(residuals: Floats) -> float:
    """The variance of the sum of `residuals` (one per unit, mean 0), with autocorrelation."""
    centred = residuals - residuals.mean()
    transforms = max(1, degrees_of_freedom(residuals.size))
    plain = _mean_squared_transform(centred, transforms)
    coefficient = ar1_coefficient(centred)
    if not coefficient:
        return plain * residuals.size
    innovations = centred[1:] - coefficient * centred[:-1]
    whitened = _mean_squared_transform(innovations - innovations.mean(), transforms)
    recoloured = whitened / (1.0 - coefficient) ** 2
    return min(recoloured, MAX_PREWHITENING_FACTOR * plain) * residuals.size


def _mean_squared_transform(values: Floats, count: int) -> float:
    """The mean of the `count` lowest squared cosine transforms (type II)."""
    order = np.arange(1, count + 1)[:, None]
    moment = (np.arange(values.size) + 0.5) / values.size
    transforms = math.sqrt(2.0 / values.size) * (np.cos(np.pi * order * moment) @ values)
    return float(np.mean(transforms**2))


def ar1_coefficient(centred: Floats) -> float:
    """The first-order autoregressive coefficient; 0 unless the autocorrelation is significant.

    The ratio of autocorrelations (ρ₂ + ρ₃) / (ρ₁ + ρ₂), corrected for bias (Kendall, Biometrika
    1954).
    """
    units = centred.size
    square = float(centred @ centred)
    if units < MIN_UNITS or square <= 0.0:
        return 0.0
    first, second, third = (
        float(centred[lag:] @ centred[:-lag]) / square * units / (units - lag) for lag in (1, 2, 3)
    )
    if first + second <= 2.0 * math.sqrt(2.0 / units):  # two standard errors
        return 0.0
    coefficient = (second + third) / (first + second)
    bias = (1.0 + 3.0 * coefficient) / units
    # a run does not show correlation that decays more slowly than over a tenth of its length
    highest = min(MAX_AR1_COEFFICIENT, 1.0 - 10.0 / units)
    return min(highest, coefficient + bias) if coefficient > 0.0 else 0.0


def critical_value(
    design_effect: float, degrees_of_freedom: float, alpha: TailProbability
) -> float:
    """How many standard deviations a one-sided bound lies from the estimate.

    Student's t. Only the part of the design effect beyond 1 is estimated; the binomial part is
    known. So the degrees of freedom are those of that excess (Satterthwaite, Biometrics Bulletin
    1946); without an excess the value is the normal one.
    """
    excess = 1.0 - 1.0 / design_effect
    if excess * excess * NORMAL_DEGREES_OF_FREEDOM <= degrees_of_freedom:
        return normal_quantile(1.0 - alpha)
    return t_quantile(1.0 - alpha, degrees_of_freedom / (excess * excess))
