"""Reported against true: the pure part of the calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.order_statistics import rank

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
JUDGED: Final = ("p50", "p90", "p99")
SLACK_MS: Final = 0.25
SLACK_SHARE: Final = 0.02
MACHINE_LOST: Final = 0.0025  # of the time: a quarter of the 1% beyond p99, as validity has it
BUSY: Final = 0.5  # of a core: beyond it a generator is not asked to be exact

Nanoseconds = npt.NDArray[np.int64]
Figures = dict[str, float]


def quantiles_ms(values_ns: Nanoseconds) -> Figures:
    """Percentiles in milliseconds: rank ⌈q·n⌉, as in HdrHistogram. NaN when empty."""
    if not values_ns.size:
        return dict.fromkeys(QUANTILES, math.nan)
    ordered = np.sort(values_ns)
    return {name: float(ordered[rank(q, ordered.size) - 1]) / 1e6 for name, q in QUANTILES.items()}


@dataclass(frozen=True, slots=True)
class CalibrationCell:
    """One script at one rate; milliseconds by percentile.

    `floor` is what the bare probe saw beyond the server's own time, `conventional` what a boto3
    user with constant pacing reported on the same server. `lateness_p99_ms` is how late the
    generator handed arrivals to free users; None where it never did. `machine_lost` is the share
    of the time that a processor was taken away (`witness.py`; None: unknown), in the quietest of
    so many `tries`.
    """

    script: str
    rate_per_s: float
    calls: int
    generator_cpu: float
    truth: Figures
    reported: Figures
    floor: Figures
    conventional: Figures
    valid: bool
    reason: str = ""
    lateness_p99_ms: float | None = None
    machine_lost: float | None = None
    tries: int = 1

    def tolerance_ms(self, name: str) -> float:
        """How far the report may be from the truth."""
        floor = max(0.0, self.floor.get(name, 0.0))
        return max(floor + SLACK_MS, SLACK_SHARE * self.truth[name])

    def error_ms(self, name: str) -> float:
        """Reported minus true."""
        return self.reported[name] - self.truth[name]

    def within(self, name: str) -> bool:
        """Whether that percentile is right."""
        return abs(self.error_ms(name)) <= self.tolerance_ms(name)

    @property
    def machine_stood_still(self) -> bool:
        """Whether the witness saw too much time lost for anything to be right."""
        return (self.machine_lost or 0.0) > MACHINE_LOST

    @property
    def judged(self) -> bool:
        """Whether the cell counts.

        A generator over half a core, or one that says itself that it distorted the run, has not
        claimed to be right; and on a machine that stood still nothing can be.
        """
        return not self.excuse

    @property
    def excuse(self) -> str:
        """Why it does not count; empty when it does."""
        if self.machine_stood_still:
            return (
                f"the machine itself stood still {self.machine_lost:.2%} of the time, in the "
                f"quietest of {self.tries} tries"
            )
        if not self.valid:
            return self.reason or "the run does not count"
        if self.generator_cpu > BUSY:
            return f"the generator used {self.generator_cpu:.0%} of a core"
        return ""

    @property
    def right(self) -> bool:
        """Whether every judged percentile is within tolerance."""
        return all(self.within(name) for name in JUDGED)
