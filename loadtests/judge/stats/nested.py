"""The level of two tests of one hypothesis, of which one uses a part of the other's calls.

A limit holds if all calls show it, or if the undisturbed ones do. Each test at the error
probability alpha would be wrong in up to 2 alpha of the cases together. They share calls, so the
normal deviates of their estimates correlate by at least the square root of the share of the calls
that both have, as those of two interim analyses do (Pocock, Biometrika 1977). Calls that resemble
their neighbours correlate more, and calls that the machine delayed make the first test pass less
often: both only lower the probability of an error.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

from loadtests.judge.stats.distributions import TailProbability, both_above, normal_quantile

_HALVINGS: Final = 50


@cache
def nested_alpha(alpha: TailProbability, share: float) -> TailProbability:
    """The error probability of each test, so that either is wrong with probability `alpha`.

    `share` of the calls of the larger sample are in the smaller one; above 0, at most 1.
    """
    if share >= 1.0:
        return alpha
    correlation = math.sqrt(share)
    low, high = alpha / 2.0, float(alpha)  # for independent tests, and for the same one
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        either = 2.0 * middle - both_above(normal_quantile(1.0 - middle), correlation)
        low, high = (middle, high) if either < alpha else (low, middle)
    return TailProbability(low)
