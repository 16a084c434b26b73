"""The generator's own time in a call, as sampled: handing arrivals over, and reading answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import Times, summarise


@dataclass(frozen=True, slots=True)
class GeneratorDelays:
    """One second's samples, bucketed.

    `dispatch` has a value for each arrival that found a user free, `event_loop` one for each random
    moment (`load/loop/delay_sampler.py`).
    """

    dispatch: Sparse
    event_loop: Sparse


def bucket_delays(sizes: list[int], payload: bytes) -> GeneratorDelays:
    """Bucket what a load process sent: both columns, one after the other, int64 nanoseconds."""
    values = np.frombuffer(payload, np.int64)
    arrivals, _ = sizes
    return GeneratorDelays(Sparse.of(values[:arrivals]), Sparse.of(values[arrivals:]))


def delay_figures(delays: GeneratorDelays) -> dict[str, Any]:
    """The percentiles under `HealthRow`'s names, milliseconds; None where nothing was sampled."""
    late, lag = times_of(delays.dispatch), times_of(delays.event_loop)
    return {
        "dispatch_delay_p50_ms": late.p50 if late else None,
        "dispatch_delay_p99_ms": late.p99 if late else None,
        "dispatch_delay_max_ms": late.max if late else None,
        "event_loop_delay_p50_ms": lag.p50 if lag else None,
        "event_loop_delay_p99_ms": lag.p99 if lag else None,
        "event_loop_delay_max_ms": lag.max if lag else None,
    }


def times_of(counts: Sparse) -> Times | None:
    """Percentiles in milliseconds, or None when nothing was counted."""
    histogram = Histogram()
    histogram.add(counts)
    return summarise(histogram)
