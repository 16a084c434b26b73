"""When an inconclusive run is measured for longer, and when it is not.

Looking again until something is decided would find false alarms in plenty, so all looks are fixed
before the run: their times, and the part of the error that each may spend. The parts add up to
1 - confidence, so by Bonferroni's inequality the chance that any look is wrong does too, whatever
the looks have in common. The first look spends half: its bounds are those of the two-sided
interval that reports show. Stopping early, for whatever reason, only lowers that chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtests.config import Gate

SHARES: Final = (0.5, 0.25, 0.25)  # of the error, by look
TIMES: Final = (0.0, 1 / 3, 1.0)  # of the extension, by look
HOPELESS: Final = 3.0  # times the last look's seconds; a run needing more is not extended


@dataclass(frozen=True, slots=True)
class InterimAnalysis:
    """One look at the run: after how many measured seconds, and the level it may spend."""

    measured_s: float
    level: float


def planned_analyses(gate: Gate, measured_s: float) -> tuple[InterimAnalysis, ...]:
    """Every look at a run of `measured_s` seconds; a single one when it may not be extended."""
    error = 1.0 - gate.confidence
    if gate.max_extension < 1.0:
        return (InterimAnalysis(measured_s, error),)
    return tuple(
        InterimAnalysis(measured_s + time * gate.max_extension, share * error)
        for time, share in zip(TIMES, SHARES, strict=True)
    )


def next_analysis(
    status: str, needed_s: float | None, looks: tuple[InterimAnalysis, ...], seen: int
) -> InterimAnalysis | None:
    """The look to extend the run to after `seen` of them; None to stop here.

    Only an inconclusive run is extended, and not when it would need far more than the last look.
    """
    if status != "INCONCLUSIVE" or seen >= len(looks):
        return None
    if needed_s is not None and needed_s > HOPELESS * looks[-1].measured_s:
        return None
    return looks[seen]
