"""The delay that the generator itself adds to a call, as sampled.

There are two: dispatching the arrival to a user, and the event loop's reading of the response.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadtests.measure.health.probes import DelayFigures
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


def bucket_delays(dispatch_count: int, payload: bytes) -> GeneratorDelays:
    """Bucket `dispatch_count` dispatch delays and the event-loop delays after them, int64 ns."""
    values = np.frombuffer(payload, np.int64)
    return GeneratorDelays(Sparse.of(values[:dispatch_count]), Sparse.of(values[dispatch_count:]))


def delay_figures(delays: GeneratorDelays) -> DelayFigures:
    """The percentiles for a row of health.csv; None where nothing was sampled."""
    dispatch, event_loop = times_of(delays.dispatch), times_of(delays.event_loop)
    return DelayFigures(
        dispatch_delay_p50_ms=dispatch.p50 if dispatch else None,
        dispatch_delay_p99_ms=dispatch.p99 if dispatch else None,
        dispatch_delay_max_ms=dispatch.max if dispatch else None,
        event_loop_delay_p50_ms=event_loop.p50 if event_loop else None,
        event_loop_delay_p99_ms=event_loop.p99 if event_loop else None,
        event_loop_delay_max_ms=event_loop.max if event_loop else None,
    )


def times_of(counts: Sparse) -> Times | None:
    """Percentiles in milliseconds, or None when nothing was counted."""
    histogram = Histogram()
    histogram.add(counts)
    return summarise(histogram)
