"""Interim analyses: when an inconclusive run is measured for longer, and when it is not.

Repeated testing until a decision inflates the false-alarm rate. So all analyses are fixed before
the run: their times, and the part of the error probability that each may spend. The parts add up to
1 - confidence, so by Bonferroni's inequality the probability that any analysis is wrong is at most
that, however they are correlated. The first analysis spends half: its bounds are those of the
two-sided interval that reports show. Stopping early, for whatever reason, only lowers the
probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtests.config import Gate
from loadtests.judge.stats.distributions import TailProbability, one_sided

ERROR_PARTS: Final = (0.5, 0.25, 0.25)  # of the error probability, per analysis
TIMES: Final = (0.0, 1 / 3, 1.0)  # of the extension, per analysis
MAX_NEEDED: Final = 3.0  # times the last analysis; a run that needs more is not extended


@dataclass(frozen=True, slots=True)
class InterimAnalysis:
    """An analysis after so many measured seconds, and the error probability it may spend."""

    measured_s: float
    alpha: TailProbability


def planned_analyses(gate: Gate, measured_s: float) -> tuple[InterimAnalysis, ...]:
    """Every analysis of a run of `measured_s` seconds; one if it may not be extended."""
    alpha = one_sided(gate.confidence)
    if gate.max_extension < 1.0:
        return (InterimAnalysis(measured_s, alpha),)
    return tuple(
        InterimAnalysis(measured_s + time * gate.max_extension, TailProbability(part * alpha))
        for time, part in zip(TIMES, ERROR_PARTS, strict=True)
    )


def next_analysis(
    status: str, needed_s: float | None, analyses: tuple[InterimAnalysis, ...], done: int
) -> InterimAnalysis | None:
    """The analysis to extend the run to after `done` of them; None to stop.

    Only an inconclusive run is extended, and not if it would need far more than the last analysis.
    """
    if status != "INCONCLUSIVE" or done >= len(analyses):
        return None
    if needed_s is not None and needed_s > MAX_NEEDED * analyses[-1].measured_s:
        return None
    return analyses[done]
