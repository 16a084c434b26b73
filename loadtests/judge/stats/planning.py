"""How many calls a limit takes, and the chance that it is decided, before a run is made.

The decisions are those of the verdict: an upper bound within the limit (`exceedance.py`,
`proportions.py`). What a run would find is assumed: the true share of calls beyond the limit, and
the design effect, by which correlated calls are worth fewer independent ones. The number of calls
beyond the limit is then binomial at the effective number of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadtests.judge.stats.autocorrelation import MIN_UNITS, degrees_of_freedom
from loadtests.judge.stats.distributions import TailProbability, beta_cdf
from loadtests.judge.stats.exceedance import ExceedanceRate, lowest_true
from loadtests.judge.stats.proportions import FailureRate
from loadtests.order_statistics import min_calls

LONGEST_S: Final = 7 * 24 * 3600  # a plan beyond a week is none


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLimit:
    """A limit that at most `allowed` of the calls may exceed, and the share that truly do.

    `rate_per_s` are the calls per second that it is judged on, `alpha` the error probability of
    its bound. A limit on failed calls has a `design_effect` of 1, as in the verdict.
    """

    allowed: float
    true_share: float
    rate_per_s: float
    alpha: TailProbability
    design_effect: float
    failures: bool = False

    @property
    def least_calls(self) -> int:
        """Calls without which there is no finite upper bound, whatever is measured."""
        return math.ceil(min_calls(1.0 - self.allowed, self.alpha) * self.design_effect)

    def chance(self, measured_s: float) -> float:
        """The chance that this many seconds show the limit to hold, or to be broken.

        To hold where the true share is within what is allowed, to be broken where it is not.
        """
        calls = math.floor(self.rate_per_s * measured_s)
        if calls < 1:
            return 0.0
        keeps = self.true_share <= self.allowed
        decided = self._holds if keeps else self._is_broken

        def one_more_decides(above: int) -> bool:
            return decided(above, calls, measured_s) != keeps

        # the fewest calls beyond the limit that no longer show it to hold, or that show it broken
        first = lowest_true(0, calls + 1, one_more_decides)
        at_most = self._at_most(first - 1, calls)
        return at_most if keeps else 1.0 - at_most

    def seconds_for(self, chance: float) -> int | None:
        """The measured seconds after which that chance is reached; None for none within a week."""
        return _first_second(lambda seconds: self.chance(seconds) >= chance)

    def _holds(self, above: int, calls: int, measured_s: float) -> bool:
        if above > calls:
            return False
        if self.failures:
            return FailureRate(above, calls).high(self.alpha) <= self.allowed
        return self._exceedance(above, calls, measured_s).is_at_most(self.allowed, self.alpha)

    def _is_broken(self, above: int, calls: int, measured_s: float) -> bool:
        if above > calls:
            return True
        if self.failures:
            return FailureRate(above, calls).low(self.alpha) > self.allowed
        return self._exceedance(above, calls, measured_s).is_more_than(self.allowed, self.alpha)

    def _exceedance(self, above: int, calls: int, measured_s: float) -> ExceedanceRate:
        return ExceedanceRate(
            above=above,
            calls=calls,
            design_effect=self.design_effect,
            degrees_of_freedom=degrees_of_freedom(math.floor(measured_s)),
        )

    def _at_most(self, above: int, calls: int) -> float:
        """The chance of at most `above` calls beyond the limit (a binomial distribution)."""
        if above < 0:
            return 0.0
        if above >= calls or not self.true_share:
            return 1.0
        size, most = calls / self.design_effect, above / self.design_effect
        return beta_cdf(1.0 - self.true_share, size - most, most + 1.0)


def _first_second(reached: Callable[[int], bool]) -> int | None:
    """The first second of a run for which `reached` is true, which it then stays."""
    last = MIN_UNITS
    while not reached(last):
        if last >= LONGEST_S:
            return None
        last *= 2
    return lowest_true(1, last, reached)
