"""The distribution functions of the verdict, as plain floats from scipy.special.

scipy is imported at the first use: it takes longer to load than the rest of `judge`, and most
commands never judge a run.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NewType

TailProbability = NewType("TailProbability", float)
"""The one-sided error probability of a bound, called alpha: 0.05 for a one-sided 95% bound."""


def one_sided(confidence: float) -> TailProbability:
    """The error probability of a one-sided bound at this confidence: 0.05 for 0.95."""
    return TailProbability(1.0 - confidence)


def two_sided(confidence: float) -> TailProbability:
    """The error probability of each bound of a two-sided interval: 0.025 for 0.95."""
    return TailProbability((1.0 - confidence) / 2.0)


@cache
def _special() -> ModuleType:
    return import_module("scipy.special")


@cache
def normal_quantile(p: float) -> float:
    """The standard normal quantile: P(Z ≤ z) = `p`."""
    return float(_special().ndtri(p))


def normal_cdf(z: float) -> float:
    """P(Z ≤ z) for a standard normal Z."""
    return float(_special().ndtr(z))


def both_above(z: float, correlation: float) -> float:
    """P(X > z and Y > z) for standard normals X and Y with a correlation of at least 0.

    By Owen's T function (Owen, Annals of Mathematical Statistics 1956).
    """
    slope = math.sqrt((1.0 - correlation) / (1.0 + correlation))
    return normal_cdf(-z) - 2.0 * float(_special().owens_t(z, slope))


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X ≤ x) for X ~ Beta(a, b), the regularised incomplete beta function; `a`, `b` > 0."""
    return float(_special().betainc(a, b, min(1.0, max(0.0, x))))


def beta_quantile(p: float, a: float, b: float) -> float:
    """The `p`-quantile of Beta(a, b); `a`, `b` > 0."""
    return float(_special().betaincinv(a, b, p))


@cache
def t_quantile(p: float, degrees_of_freedom: float) -> float:
    """The `p`-quantile of Student's t; the degrees of freedom are > 0 and may be fractional."""
    return float(_special().stdtrit(degrees_of_freedom, p))
