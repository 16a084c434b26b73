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
# A quarter of the 1% of the calls that lie beyond p99: the same share as in validity.
MAX_STALLED_SHARE: Final = 0.0025
MAX_GENERATOR_CPU: Final = 0.5  # of a core: a busier generator is not expected to be exact

Nanoseconds = npt.NDArray[np.int64]
Percentiles = dict[str, float]  # milliseconds by the percentile's name


def percentiles_ms(values_ns: Nanoseconds) -> Percentiles:
    """Percentiles in milliseconds: rank ⌈q·n⌉, as in HdrHistogram. NaN when empty."""
    if not values_ns.size:
        return dict.fromkeys(QUANTILES, math.nan)
    ordered = np.sort(values_ns)
    return {name: float(ordered[rank(q, ordered.size) - 1]) / 1e6 for name, q in QUANTILES.items()}


def tolerance_ms(true_ms: float, round_trip_ms: float) -> float:
    """How far a reported percentile may be from the truth, in milliseconds.

    A `round_trip_ms` of NaN or below 0 adds nothing.
    """
    return max(max(0.0, round_trip_ms) + SLACK_MS, SLACK_SHARE * true_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationCell:
    """One script at one rate; `…_ms` are milliseconds by percentile.

    `round_trip_ms` is what the baseline round trip took beyond the server's own time,
    `conventional_ms` what a boto3 user with constant pacing reported on the same server.
    `dispatch_delay_p99_ms` is the delay between intended start and dispatch to a free user; None
    where no user was ever free. `stalled_share` is the share of the time that a processor was taken
    away (`hiccup_meter.py`; None: unknown), in the quietest of `tries`.
    """

    script: str
    rate_per_s: float
    calls: int
    generator_cpu: float
    true_ms: Percentiles
    reported_ms: Percentiles
    round_trip_ms: Percentiles
    conventional_ms: Percentiles
    valid: bool
    reason: str = ""
    dispatch_delay_p99_ms: float | None = None
    stalled_share: float | None = None
    tries: int = 1

    def tolerance_ms(self, name: str) -> float:
        """How far the report may be from the truth."""
        return tolerance_ms(self.true_ms[name], self.round_trip_ms.get(name, 0.0))

    def error_ms(self, name: str) -> float:
        """Reported minus true."""
        return self.reported_ms[name] - self.true_ms[name]

    def within(self, name: str) -> bool:
        """Whether the percentile is right within its tolerance."""
        return abs(self.error_ms(name)) <= self.tolerance_ms(name)

    @property
    def machine_stalled(self) -> bool:
        """Whether the hiccup meter saw too much lost time for any figure to be right."""
        return (self.stalled_share or 0.0) > MAX_STALLED_SHARE

    @property
    def judged(self) -> bool:
        """Whether the cell counts.

        It does not count on a machine that stalled, when the run declares itself INVALID, or when
        the generator used more than half a core.
        """
        return not self.excuse

    @property
    def excuse(self) -> str:
        """Why the cell does not count; empty when it does."""
        if self.machine_stalled:
            return (
                f"the machine itself stalled {self.stalled_share:.2%} of the time, in the "
                f"quietest of {self.tries} tries"
            )
        if not self.valid:
            return self.reason or "the run is INVALID"
        if self.generator_cpu > MAX_GENERATOR_CPU:
            return f"the generator used {self.generator_cpu:.0%} of a core"
        return ""

    @property
    def right(self) -> bool:
        """Whether every judged percentile is within tolerance."""
        return all(self.within(name) for name in JUDGED)
