"""The long-run variance of a sum over units of time, in which neighbours are alike.

Prewhitened by an autoregression (Andrews and Monahan, Econometrica 1992), then the mean of the
lowest squared cosine transforms (Lazarus, Lewis, Stock and Watson, "HAR Inference", JBES 2018).
The autoregression's coefficient is taken from the second and third lag over the first and second,
so that the independent noise of counting calls, which only the variance shows, drops out.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from loadtests.judge.stats.distributions import normal_quantile, t_quantile
from loadtests.judge.stats.samples import Floats

LEAST_UNITS: Final = 10  # fewer units than this do not show how alike neighbours are
MOST_MEMORY: Final = 0.97
MOST_ADDED: Final = 3.0  # what prewhitening may multiply the plain estimate by
NORMAL_DEGREES: Final = 10_000.0  # from here on Student's t is the normal


def degrees_of(units: int) -> int:
    """Degrees of freedom of a long-run variance: 0.4 × units^(2/3); none for under ten units."""
    return round(0.4 * units ** (2 / 3)) if units >= LEAST_UNITS else 0


def degrees_in(residuals: Floats) -> float:
    """`degrees_of`, or fewer where a handful of units holds most of the deviation.

    n equal deviations count as n (Kish's effective size of the squares), less one.
    """
    squares = residuals * residuals
    fourth = float(squares @ squares)
    if not fourth:
        return degrees_of(residuals.size)
    holding = float(squares.sum()) ** 2 / fourth
    return min(degrees_of(residuals.size), max(1.0, holding - 1.0))


def long_run_variance(residuals: Floats) -> float:
    """The variance of the sum of `residuals` (one a unit, mean 0), likeness included."""
    centred = residuals - residuals.mean()
    degrees = max(1, degrees_of(residuals.size))
    plain = _lowest_transforms(centred, degrees)
    memory = memory_of(centred)
    if not memory:
        return plain * residuals.size
    shocks = centred[1:] - memory * centred[:-1]
    whitened = _lowest_transforms(shocks - shocks.mean(), degrees) / (1.0 - memory) ** 2
    return min(whitened, MOST_ADDED * plain) * residuals.size


def _lowest_transforms(values: Floats, count: int) -> float:
    order = np.arange(1, count + 1)[:, None]
    moment = (np.arange(values.size) + 0.5) / values.size
    transforms = math.sqrt(2.0 / values.size) * (np.cos(np.pi * order * moment) @ values)
    return float(np.mean(transforms**2))


def memory_of(centred: Floats) -> float:
    """How much of one unit's deviation the next keeps: 0 unless it shows beyond chance."""
    units = centred.size
    square = float(centred @ centred)
    if units < LEAST_UNITS or square <= 0.0:
        return 0.0
    first, second, third = (
        float(centred[lag:] @ centred[:-lag]) / square * units / (units - lag) for lag in (1, 2, 3)
    )
    if first + second <= 2.0 * math.sqrt(2.0 / units):  # two standard errors
        return 0.0
    memory = (second + third) / (first + second)
    bias = (1.0 + 3.0 * memory) / units  # Kendall, Biometrika 1954
    # a run does not show what decays more slowly than over a tenth of it
    return min(MOST_MEMORY, 1.0 - 10.0 / units, memory + bias) if memory > 0.0 else 0.0


def deviations_of(likeness: float, degrees: float, level: float) -> float:
    """How many standard deviations away a bound is.

    Student's t, whose degrees of freedom are those of the excess of `likeness` over 1: the part
    beyond it is estimated, the binomial part is known (Satterthwaite, Biometrics Bulletin 1946).
    """
    excess = 1.0 - 1.0 / likeness
    if excess * excess * NORMAL_DEGREES <= degrees:
        return normal_quantile(1.0 - level)
    return t_quantile(1.0 - level, degrees / (excess * excess))
