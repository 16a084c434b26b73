"""The delay that the generator itself adds to a call, as sampled.

There are two: dispatching the arrival to a user, and the event loop's reading of the response.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadtests.measure.health.probes import DelayFigures
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import Times, summarise
from loadtests.measure.series import Touches


@dataclass(frozen=True, slots=True)
class GeneratorDelays:
    """One second's samples, bucketed.

    `dispatch` has a value for each arrival that found a user free, `event_loop` one for each random
    moment (`load/loop/delay_sampler.py`). The other two hold those that no stall of the machine can
    have touched; None where stalls are not measured.
    """

    dispatch: Sparse
    event_loop: Sparse
    undisturbed_dispatch: Sparse | None = None
    undisturbed_event_loop: Sparse | None = None


def bucket_delays(
    dispatch_count: int, payload: bytes, touches: Touches | None = None
) -> GeneratorDelays:
    """Bucket the columns of a `SecondEnded` frame; `touches` says which moments are disturbed."""
    values = np.frombuffer(payload, np.int64)
    dispatched, dispatch = values[: 2 * dispatch_count].reshape(2, dispatch_count)
    sampled, event_loop = values[2 * dispatch_count :].reshape(2, -1)
    return GeneratorDelays(
        Sparse.of(dispatch),
        Sparse.of(event_loop),
        Sparse.of(dispatch[~touches(dispatched)]) if touches else None,
        Sparse.of(event_loop[~touches(sampled)]) if touches else None,
    )


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
