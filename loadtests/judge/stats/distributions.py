"""The few distribution functions that the verdict needs, in plain floats.

Normal quantiles are the standard library's. The incomplete beta function is the continued fraction
of DLMF 8.17.22 (https://dlmf.nist.gov/8.17), summed by the modified Lentz method.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

_TINY: Final = 1e-300
_TOLERANCE: Final = 1e-13
_STEPS: Final = 20_000


def normal_quantile(p: float) -> float:
    """The standard normal value below which a share `p` lies."""
    return NormalDist().inv_cdf(p)


def normal_cdf(z: float) -> float:
    """P(Z ≤ z) for a standard normal Z."""
    return NormalDist().cdf(z)


@lru_cache(maxsize=65_536)
def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X ≤ x) for X ~ Beta(a, b); `a` and `b` above 0, not necessarily whole."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    c = 1.0
    d = 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or _TINY)
    result = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1.0 + even * d, 1.0 + even / c
        d, c = 1.0 / (d or _TINY), c or _TINY
        result *= c * d
        d, c = 1.0 + odd * d, 1.0 + odd / c
        d, c = 1.0 / (d or _TINY), c or _TINY
        step = c * d
        result *= step
        if abs(step - 1.0) < _TOLERANCE:
            break
    return result


def t_cdf(t: float, degrees: float) -> float:
    """P(T ≤ t) for Student's t."""
    tail = 0.5 * beta_cdf(degrees / (degrees + t * t), degrees / 2.0, 0.5)
    return 1.0 - tail if t > 0 else tail


@lru_cache(maxsize=4096)
def t_quantile(p: float, degrees: float) -> float:
    """Student's t value below which a share `p` lies; `degrees` above 0, may be fractional."""
    if p < 0.5:
        return -t_quantile(1.0 - p, degrees)
    if p == 0.5:
        return 0.0
    low, high = 0.0, 2.0
    while t_cdf(high, degrees) < p:
        low, high = high, high * 2.0
        if high > 1e12:
            return math.inf
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in {low, high}:
            break
        if t_cdf(middle, degrees) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
