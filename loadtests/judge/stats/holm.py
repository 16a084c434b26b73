"""Which limits are exceeded when many are tested at once: Holm's step-down procedure.

Holm, Scandinavian Journal of Statistics 1979. It is stated with bounds instead of p-values, so that
the interval that is shown is the one that is decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.judge.stats.distributions import TailProbability


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a limit is significantly exceeded, and the error probability of its lower bound."""

    exceeded: bool
    alpha: TailProbability


def holm(
    lows: Sequence[Callable[[TailProbability], float]],
    limits: Sequence[float],
    alpha: TailProbability,
    weights: Sequence[float] | None = None,
) -> list[Decision]:
    """Decide which limits are exceeded; any wrong decision has probability `alpha` at most.

    `lows[i](alpha)` is a lower bound that is too high with probability `alpha`; it must not rise as
    `alpha` falls. `weights` share the error probability unevenly (section 4 of Holm's paper). The
    limits that are not exceeded keep the error probability of the last step.
    """
    weights = weights or [1.0] * len(lows)
    decisions: dict[int, Decision] = {}
    while True:
        remaining = [i for i in range(len(lows)) if i not in decisions]
        total = sum(weights[i] for i in remaining)
        alphas = {i: TailProbability(alpha * weights[i] / total) for i in remaining}
        exceeded = [i for i in remaining if lows[i](alphas[i]) > limits[i]]
        if not exceeded:
            break
        decisions |= {i: Decision(exceeded=True, alpha=alphas[i]) for i in exceeded}
    return [decisions.get(i) or Decision(exceeded=False, alpha=alphas[i]) for i in range(len(lows))]


def overall_first_weights(is_overall: Sequence[bool]) -> list[float]:
    """Weights that give the few overall comparisons half of the error probability.

    An overall comparison has the calls of every pattern. It finds the most frequent change, one
    that affects every pattern.
    """
    overall = sum(is_overall)
    single = len(is_overall) - overall
    if not overall or not single:
        return [1.0] * len(is_overall)
    return [0.5 / overall if flag else 0.5 / single for flag in is_overall]
