"""The generator's own time in a call, as sampled: handing arrivals over, and reading answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import Times, summarise


@dataclass(frozen=True, slots=True)
class OwnTimes:
    """One second's samples, bucketed.

    `lateness` has a value for each arrival that found a user free, `read_lag` one for each random
    moment (`load/lag.py`).
    """

    lateness: Sparse
    read_lag: Sparse


def own_times(sizes: list[int], payload: bytes) -> OwnTimes:
    """Bucket what a load process sent: both columns, one after the other, int64 nanoseconds."""
    values = np.frombuffer(payload, np.int64)
    arrivals, _ = sizes
    return OwnTimes(Sparse.of(values[:arrivals]), Sparse.of(values[arrivals:]))


def row_figures(own: OwnTimes) -> dict[str, Any]:
    """The percentiles under `HealthRow`'s names, milliseconds; None where nothing was sampled."""
    late, lag = times_of(own.lateness), times_of(own.read_lag)
    return {
        "lateness_p50_ms": late.p50 if late else None,
        "lateness_p99_ms": late.p99 if late else None,
        "lateness_max_ms": late.max if late else None,
        "read_lag_p50_ms": lag.p50 if lag else None,
        "read_lag_p99_ms": lag.p99 if lag else None,
        "read_lag_max_ms": lag.max if lag else None,
    }


def times_of(counts: Sparse) -> Times | None:
    """Percentiles in milliseconds, or None when nothing was counted."""
    histogram = Histogram()
    histogram.add(counts)
    return summarise(histogram)
