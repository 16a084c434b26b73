"""Statistics of the safety tests: rates of stalls, and what a shifted list changes. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from loadtests.measure.stalls.windows import DisturbedTime, Stall
from loadtests.order_statistics import rank

ALPHA: Final = 0.01  # of each safety test, two-sided
P99: Final = 0.99
SECOND_NS: Final = 1_000_000_000
_RESAMPLES: Final = 1_000

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """Stalls counted on an idle and on a loaded machine, each over so many seconds."""

    idle: int
    idle_s: float
    loaded: int
    loaded_s: float

    @property
    def p_value(self) -> float:
        """Exact two-sided test that both Poisson rates are equal.

        Given the sum, the loaded count is binomial (Przyborowski and Wilenski, 1940).
        """
        total = self.idle + self.loaded
        if not total:
            return 1.0
        share = self.loaded_s / (self.idle_s + self.loaded_s)
        return float(stats.binomtest(self.loaded, total, share).pvalue)

    @property
    def safe(self) -> bool:
        """Whether the loaded rate is not significantly higher."""
        higher = self.loaded / self.loaded_s > self.idle / self.idle_s
        return not (higher and self.p_value < ALPHA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """When calls were sent, and how long they took. Nanoseconds, in the order of sending."""

    sent_ns: Times
    took_ns: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """What leaving out calls by a list of stalls did.

    `efficiency` is the share of the calls over the limit that were left out, `left_out` the share
    of all calls; NaN without such calls.
    """

    p99_ms: float
    left_out: float
    efficiency: float


def exclude(calls: Calls, stalls: Sequence[Stall], limit_ns: int) -> Exclusion:
    """Leave out the calls that the stalls disturb."""
    disturbed = DisturbedTime()
    for stall in stalls:
        disturbed.add(stall)
    touched = disturbed.touches(calls.sent_ns)
    over = calls.took_ns > limit_ns
    return Exclusion(
        p99_ms=p99_ms(calls.took_ns[~touched]),
        left_out=float(touched.mean()),
        efficiency=float(touched[over].mean()) if over.any() else math.nan,
    )


def shifted(stalls: Sequence[Stall], by_ns: int, begin_ns: int, end_ns: int) -> list[Stall]:
    """The stalls of [begin, end), moved by a time; what leaves at the end comes in at the begin."""
    length_ns = end_ns - begin_ns

    def move(stall: Stall) -> Stall:
        moved_ns = begin_ns + (stall.due_ns - begin_ns + by_ns) % length_ns - stall.due_ns
        due_ns = stall.due_ns + moved_ns
        return Stall(stall.cpu, stall.from_ns + moved_ns, due_ns, stall.length_ns)

    return [move(stall) for stall in stalls if begin_ns <= stall.due_ns < end_ns]


def p99_interval_ms(calls: Calls, share: float, seed: int = 1) -> tuple[float, float]:
    """99% interval of the p99 of so large a share of the calls.

    Whole seconds are resampled, since the calls of a stall are slow together.
    """
    draw = np.random.default_rng(seed)
    second = (calls.sent_ns - calls.sent_ns[0]) // SECOND_NS
    blocks = [calls.took_ns[second == number] for number in np.unique(second)]
    count = max(1, round(share * len(blocks)))
    values = [
        p99_ms(np.concatenate([blocks[i] for i in draw.integers(0, len(blocks), count)]))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(values, [0.005, 0.995])
    return float(low), float(high)


def p99_ms(times_ns: Times) -> float:
    """The p99 in milliseconds: rank ⌈q·n⌉. NaN when empty."""
    if not times_ns.size:
        return math.nan
    return float(np.sort(times_ns)[rank(P99, times_ns.size) - 1]) / 1e6
