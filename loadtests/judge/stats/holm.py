"""One decision out of many: which limits are broken when dozens are judged at once.

Holm's step-down procedure (Scandinavian Journal of Statistics 1979), stated in bounds rather than
p-values so that what is shown and what is decided are the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a limit is broken for certain, and the level of its lower bound."""

    broken: bool
    level: float


def broken_limits(
    lows: Sequence[Callable[[float], float]],
    limits: Sequence[float],
    alpha: float,
    weights: Sequence[float] | None = None,
) -> list[Decision]:
    """Decide which limits are exceeded, wrong anywhere with probability `alpha` at most.

    `lows[i](level)` is a lower bound that is too high with probability `level`; it must not rise
    as the level falls. `weights` share the error out unevenly (section 4 of Holm's paper). Limits
    still standing at the end keep the level the procedure ended at.
    """
    weights = weights or [1.0] * len(lows)
    decisions: dict[int, Decision] = {}
    while True:
        open_ones = [i for i in range(len(lows)) if i not in decisions]
        total = sum(weights[i] for i in open_ones)
        levels = {i: alpha * weights[i] / total for i in open_ones}
        found = [i for i in open_ones if lows[i](levels[i]) > limits[i]]
        if not found:
            break
        decisions |= {i: Decision(broken=True, level=levels[i]) for i in found}
    return [decisions.get(i) or Decision(broken=False, level=levels[i]) for i in range(len(lows))]


def wholes_first(whole: Sequence[bool]) -> list[float]:
    """Weights that give the few comparisons over all patterns half of the error.

    They have the calls to find a change that hits every pattern, which is the usual one.
    """
    few = sum(whole)
    many = len(whole) - few
    if not few or not many:
        return [1.0] * len(whole)
    return [0.5 / few if one else 0.5 / many for one in whole]
