"""A benchmark's figures: p50, p99 with its interval, client CPU per call, the SDK's share.

Percentiles and the p99's interval come from `judge.stats.quantiles` (order statistics on the
effective number of calls, by second), so a row states what the report states. Means add up,
percentiles do not: the SDK's share is mean(service − wire) / mean(service).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final

import numpy as np

from loadtests.judge.stats.distributions import two_sided
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import Sparse
from loadtests.measure.results import ResultRow
from loadtests.microbench.suites.cases import CallColumns, Spec
from loadtests.order_statistics import min_calls

ALPHA: Final = two_sided(0.95)


def row_of(spec: Spec, columns: CallColumns) -> ResultRow:
    """The figures of a measured benchmark."""
    samples = samples_of(columns)
    row = ResultRow(
        suite=spec.suite,
        group=spec.group,
        name=spec.name,
        backend=spec.backend,
        driver=spec.driver,
        pattern=spec.pattern,
        iterations=samples.calls,
        errors=dict(columns.errors),
    )
    if not samples.calls:
        return row
    p99 = estimate_quantile(samples, 0.99)
    low, high = p99.low_ms(ALPHA), p99.high_ms(ALPHA)
    service = _mean_ms(columns.service)
    wire = _mean_ms(columns.wire) if len(columns.wire) == len(columns.service) else None
    figures = {
        "p50_ms": estimate_quantile(samples, 0.5).estimate_ms,
        "p99_ms": p99.estimate_ms if samples.calls >= min_calls(0.99) else None,
        "p99_low_ms": low or None,
        "p99_high_ms": high if math.isfinite(high) else None,
        "mean_ms": service,
        "cpu_ms": _mean_ms(columns.cpu),
        "wire_ms": wire,
        "sdk_share": max(0.0, 1.0 - wire / service) if wire is not None else None,
    }
    return row.model_copy(update=figures)


def row_of_times(
    group: str, name: str, times_s: Sequence[float], limit_ms: float | None = None
) -> ResultRow:
    """The figures of a benchmark that pytest-benchmark made, from its times in seconds."""
    values = np.sort(np.array(times_s, np.float64)) * 1e3
    p99 = float(np.quantile(values, 0.99, method="inverted_cdf"))
    return ResultRow(
        suite=group,
        group="",
        name=name,
        backend="",
        driver="",
        pattern="",
        iterations=values.size,
        errors={},
        p50_ms=float(np.quantile(values, 0.5, method="inverted_cdf")),
        p99_ms=p99 if values.size >= min_calls(0.99) else None,
        mean_ms=float(values.mean()),
        limit_ms=limit_ms,
    )


def samples_of(columns: CallColumns) -> Samples:
    """Service times by second."""
    if not columns.service:
        return Samples.of([])
    seconds = np.frombuffer(columns.second, np.int64)
    values = np.frombuffer(columns.service, np.int64)
    first = int(seconds.min())
    parts = [
        (second - first, Sparse.of(values[seconds == second]))
        for second in np.unique(seconds).tolist()
    ]
    return Samples.of(parts)


def _mean_ms(column: array[int]) -> float:
    return float(np.frombuffer(column, np.int64).mean()) / 1e6
