"""Exact bounds of an error rate (Clopper and Pearson, Biometrika 1934)."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.judge.stats.distributions import beta_cdf


@dataclass(frozen=True, slots=True)
class Share:
    """Failed calls among all calls. Only totals are recorded, so calls count as independent."""

    failed: int
    calls: int

    @property
    def estimate(self) -> float:
        """The share that failed."""
        return self.failed / self.calls

    def high(self, level: float) -> float:
        """Upper bound that is too low with probability `level` at most."""
        if self.failed >= self.calls:
            return 1.0
        return _beta_quantile(1.0 - level, self.failed + 1.0, float(self.calls - self.failed))

    def low(self, level: float) -> float:
        """Lower bound that is too high with probability `level` at most."""
        if not self.failed:
            return 0.0
        return _beta_quantile(level, float(self.failed), self.calls - self.failed + 1.0)


def _beta_quantile(p: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2.0
        if high - low < 1e-12:
            break
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
