"""Exact bounds of a failure rate (Clopper and Pearson, Biometrika 1934)."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.judge.stats.distributions import TailProbability, beta_quantile


@dataclass(frozen=True, slots=True)
class FailureRate:
    """Failed calls among all calls. Only totals are recorded, so calls count as independent."""

    failed: int
    calls: int

    @property
    def estimate(self) -> float:
        """The proportion that failed."""
        return self.failed / self.calls

    def high(self, alpha: TailProbability) -> float:
        """Upper bound, too low with probability at most `alpha`."""
        if self.failed >= self.calls:
            return 1.0
        return beta_quantile(1.0 - alpha, self.failed + 1.0, float(self.calls - self.failed))

    def low(self, alpha: TailProbability) -> float:
        """Lower bound, too high with probability at most `alpha`."""
        if not self.failed:
            return 0.0
        return beta_quantile(alpha, float(self.failed), self.calls - self.failed + 1.0)
