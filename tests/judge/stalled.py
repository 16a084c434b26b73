"""Runs on a machine that stalls: a share of the calls is disturbed, and delayed by a set time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadtests.measure.histogram import Sparse, highest_value_ns
from loadtests.measure.hlog import Interval
from loadtests.measure.results import (
    Key,
    Reason,
    Run,
    RunInfo,
    SeriesInfo,
    StallInfo,
    UndisturbedCalls,
    Validity,
)

LATE = Reason(
    rule="late dispatches",
    found="generator dispatched 3.00% of the arrivals late.",
    remedy="Lower --rate.",
    rules_out="FAIL",
)
STARVED = Reason(
    rule="generator CPU", found="generator used 97% of a core.", remedy="Lower --rate."
)


def stalled(run: Run, *, share: float = 0.1, delay_ms: float = 50.0, seed: int = 1) -> Run:
    """The run with this share of its calls disturbed, each of which takes `delay_ms` longer."""
    rng = np.random.default_rng(seed)
    intervals: dict[Key, list[Interval]] = {}
    undisturbed: dict[Key, list[Interval]] = {}
    for key, seconds in run.intervals.items():
        split = [_split(interval, share, delay_ms, rng) for interval in seconds]
        intervals[key] = [every for every, _ in split]
        undisturbed[key] = [calm for _, calm in split]
    series = [
        each.model_copy(update={"undisturbed": UndisturbedCalls(count=_calls(each, undisturbed))})
        for each in run.info.series
    ]
    info = with_left_out(run.info.model_copy(update={"series": series}), _left_out(series))
    return replace(run, info=info, intervals=intervals, undisturbed=undisturbed)


def with_left_out(info: RunInfo, left_out: float) -> RunInfo:
    """The record of a run whose stalls touched this share of its calls."""
    stalls = StallInfo(
        meter="realtime", before_ms=5.0, after_ms=10.0, min_used_ms=1.0, left_out=left_out
    )
    return info.model_copy(update={"stalls": stalls})


def with_reasons(run: Run, *reasons: Reason) -> Run:
    """The run with these reasons in its validity."""
    validity = Validity(valid=not reasons, reasons=list(reasons))
    return replace(run, info=run.info.model_copy(update={"validity": validity}))


def _calls(series: SeriesInfo, undisturbed: dict[Key, list[Interval]]) -> int:
    return sum(interval.counts.total for interval in undisturbed[series.key("response_time")])


def _left_out(series: Sequence[SeriesInfo]) -> float:
    kept = sum(each.undisturbed.count for each in series if each.undisturbed)
    return 1.0 - kept / max(1, sum(each.count for each in series))


def _split(
    interval: Interval, share: float, delay_ms: float, rng: np.random.Generator
) -> tuple[Interval, Interval]:
    counts = interval.counts
    values = np.repeat(highest_value_ns(counts.index), counts.counts)
    disturbed = rng.random(values.size) < share
    calm = values[~disturbed]
    late = values[disturbed] + int(delay_ms * 1e6)
    everything = Sparse.of(np.concatenate([calm, late]))
    return replace(interval, counts=everything), replace(interval, counts=Sparse.of(calm))
