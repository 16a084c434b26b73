"""What a scribe reports each second: the last second's figures, and entries for Locust's tables."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from loadtests.measure.health.generator_delay import times_of
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.histogram import Counts, highest_value_ns
from loadtests.measure.merger import Merged
from loadtests.measure.messages import LastSecond, LocustEntry, ProcessSecond
from loadtests.measure.series import SeriesPart


def last_second(merged: Merged) -> list[LastSecond]:
    """The response times of every series in a closed interval, warm-up included."""
    figures = []
    for key, interval in (*merged.measured, *merged.warm_up):
        if key.metric != "response_time":
            continue
        times = times_of(interval.counts)
        figures.append(
            LastSecond(
                backend=key.backend,
                pattern=key.pattern,
                rate_per_s=interval.counts.total / max(1e-3, interval.length_s),
                p50_ms=times.p50 if times else None,
                p99_ms=times.p99 if times else None,
                max_ms=times.max if times else None,
            )
        )
    return figures


def process_second(row: HealthRow) -> ProcessSecond:
    """A load process's health in its last second."""
    return ProcessSecond(
        cpu=row.process_cpu,
        dispatch_delay_p99_ms=row.dispatch_delay_p99_ms,
        event_loop_delay_p99_ms=row.event_loop_delay_p99_ms,
        heartbeat_delay_max_ms=row.heartbeat_delay_max_ms,
        free_users_min=row.free_users_min,
        behind_ms=row.behind_ms,
    )


def locust_entries(parts: Iterable[SeriesPart]) -> list[LocustEntry]:
    """Response times by rounded millisecond, one entry per part, warm-up included."""
    return [_entry(part) for part in parts]


def _entry(part: SeriesPart) -> LocustEntry:
    counts = part.counts["response_time"]
    values_ms = highest_value_ns(counts.index) / 1e6
    rounded_ms, inverse = np.unique(_round_as_locust(values_ms), return_inverse=True)
    totals = np.zeros(rounded_ms.size, np.int64)
    np.add.at(totals, inverse, counts.counts)
    return {
        "backend": part.name.backend,
        "pattern": part.name.pattern,
        "count": counts.total,
        "total_ms": float((values_ms * counts.counts).sum()),
        "min_ms": float(values_ms[0]) if values_ms.size else 0.0,
        "max_ms": float(values_ms[-1]) if values_ms.size else 0.0,
        "response_times": [
            [int(time_ms), int(calls)] for time_ms, calls in zip(rounded_ms, totals, strict=True)
        ],
        "errors": dict(part.errors),
    }


def _round_as_locust(values_ms: npt.NDArray[np.float64]) -> Counts:
    """Two significant digits from 100 ms on, whole milliseconds below (Locust's stats.py)."""
    step = np.select([values_ms < 100, values_ms < 1_000, values_ms < 10_000], [1, 10, 100], 1_000)
    rounded: Counts = (np.rint(values_ms / step) * step).astype(np.int64)
    return rounded
