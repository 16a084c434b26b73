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
    lows: Sequence[Callable[[float], float]], limits: Sequence[float], alpha: float
) -> list[Decision]:
    """Decide which limits are exceeded, wrong anywhere with probability `alpha` at most.

    `lows[i](level)` is a lower bound that is too high with probability `level`; it must not rise
    as the level falls. Limits still standing at the end keep the level the procedure ended at.
    """
    decisions: dict[int, Decision] = {}
    while len(decisions) < len(lows):
        level = alpha / (len(lows) - len(decisions))
        found = [i for i, low in enumerate(lows) if i not in decisions and low(level) > limits[i]]
        if not found:
            break
        decisions |= {i: Decision(broken=True, level=level) for i in found}
    standing = Decision(broken=False, level=alpha / max(1, len(lows) - len(decisions)))
    return [decisions.get(i, standing) for i in range(len(lows))]
