"""Runs in memory whose true percentiles are known: Poisson arrivals at a lognormal database."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from loadtests.measure.histogram import Sparse
from loadtests.measure.hlog import Interval
from loadtests.measure.results import (
    Key,
    LoadSettings,
    Run,
    RunConfig,
    RunInfo,
    SeriesInfo,
    UndisturbedCalls,
    Validity,
)
from tests.judge.stalled import with_left_out

KEY = Key("dynamodb", "wire", "cart.get", "response_time")
MEDIAN_MS = 3.0
SIGMA = 0.5
TRUE_P99_MS = MEDIAN_MS * math.exp(2.3263478740408408 * SIGMA)


def random_run(
    rng: np.random.Generator,
    *,
    seconds: int = 60,
    rate_per_s: float = 50.0,
    share: float = 0.0,
    delay_ms: float = 0.0,
    factor: float = 1.0,
) -> Run:
    """A run whose database takes `factor` as long; `share` of its calls are disturbed.

    Each disturbed call is delayed by an exponential time with mean `delay_ms`.
    """
    everything: list[Interval] = []
    calm: list[Interval] = []
    for second in range(seconds):
        calls = int(rng.poisson(rate_per_s))
        times_ms = factor * MEDIAN_MS * np.exp(SIGMA * rng.normal(size=calls))
        disturbed = rng.random(calls) < share
        delayed_ms = times_ms + disturbed * rng.exponential(delay_ms or 1e-9, calls)
        for intervals, values_ms in ((everything, delayed_ms), (calm, times_ms[~disturbed])):
            counts = Sparse.of((values_ms * 1e6).astype(np.int64))
            intervals.append(Interval(float(second), 1.0, counts))
    total, kept = (sum(each.counts.total for each in side) for side in (everything, calm))
    series = SeriesInfo(
        backend=KEY.backend,
        driver=KEY.driver,
        pattern=KEY.pattern,
        count=total,
        undisturbed=UndisturbedCalls(count=kept),
    )
    load = LoadSettings(backend=KEY.backend, driver=KEY.driver, arrivals="poisson")
    info = RunInfo(
        id="random",
        scenario="cart",
        state="complete",
        started_at="2026-03-02T09:30:00Z",
        duration_s=float(seconds),
        config=RunConfig(load=load, patterns=[KEY.pattern]),
        series=[series],
        validity=Validity(valid=True),
    )
    info = with_left_out(info, 1.0 - kept / total)
    return Run(Path("random"), info, {KEY: everything}, {}, {KEY: calm})
