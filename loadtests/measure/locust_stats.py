"""Locust's copy of the figures, in Locust's own coarse rounding, for its tables and charts."""

from __future__ import annotations

from typing import Any

import numpy as np

from loadtests.measure.histogram import Counts, highest_value_ns
from loadtests.measure.merger import SeriesPart


def for_locust(parts: list[SeriesPart]) -> list[dict[str, Any]]:
    """Response times by rounded millisecond, one entry a part, warm-up included."""
    return [_entry(part) for part in parts]


def _entry(part: SeriesPart) -> dict[str, Any]:
    counts = part.counts["response_time"]
    values_ms = highest_value_ns(counts.index) / 1e6
    rounded = _round_as_locust(values_ms)
    places, inverse = np.unique(rounded, return_inverse=True)
    totals = np.zeros(places.size, np.int64)
    np.add.at(totals, inverse, counts.counts)
    return {
        "backend": part.name[0],
        "pattern": part.name[2],
        "count": counts.total,
        "total_ms": float((values_ms * counts.counts).sum()),
        "min_ms": float(values_ms[0]) if values_ms.size else 0.0,
        "max_ms": float(values_ms[-1]) if values_ms.size else 0.0,
        "response_times": [[int(p), int(n)] for p, n in zip(places, totals, strict=True)],
        "errors": part.errors,
    }


def _round_as_locust(values_ms: np.ndarray[Any, np.dtype[np.float64]]) -> Counts:
    """Two significant digits from 100 ms on, whole milliseconds below (Locust's stats.py)."""
    step = np.select([values_ms < 100, values_ms < 1_000, values_ms < 10_000], [1, 10, 100], 1_000)
    rounded: Counts = (np.rint(values_ms / step) * step).astype(np.int64)
    return rounded
