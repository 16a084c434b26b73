"""Coverage, false alarms and power on a recording whose quantiles are known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Outcomes, merge_counters
from loadtests.judge.calibration.relative import (
    CalibrationPlan,
    Slowdown,
    measure_coverage,
    measure_outcomes,
    slowed,
)
from loadtests.judge.stats.quantiles import estimate_quantile
from tests.run_folders import made_series, write_run

PLAN = CalibrationPlan(runs=40, comparisons=12, seconds=60, block=10)


def outcomes(
    recording: RecordedRun, *, interleaved: bool, numbers: Iterable[int]
) -> dict[Slowdown | None, Outcomes]:
    return measure_outcomes([recording] * 2, PLAN, numbers, interleaved=interleaved)


def test_slowing_the_tail_leaves_the_median(recording: RecordedRun) -> None:
    samples = next(iter(recording.series.values()))
    before = {q: estimate_quantile(samples, q).estimate_ms for q in (0.5, 0.99)}
    tail, everything = slowed(samples, 0.2, "tail"), slowed(samples, 0.2, "all")
    assert estimate_quantile(tail, 0.5).estimate_ms == before[0.5]
    p99_ms = estimate_quantile(tail, 0.99).estimate_ms
    assert p99_ms == pytest.approx(1.2 * before[0.99], rel=0.002)
    p50_ms = estimate_quantile(everything, 0.5).estimate_ms
    assert p50_ms == pytest.approx(1.2 * before[0.5], rel=0.002)


@pytest.mark.slow
def test_coverage_on_drifting_runs_is_near_what_is_claimed(tmp_path: Path) -> None:
    """Autocorrelation over a few seconds, which a run of a minute can show."""
    series = made_series(
        ["cart.get", "cart.add"],
        drift=0.05,
        correlation=0.5,
        shared=0.0,
        tail_share=0.0,
        rate_per_s=160.0,
    )
    drifting = RecordedRun(write_run(tmp_path / "run", series=series, seconds=90))
    coverage = measure_coverage([drifting], PLAN, range(100))
    for name in ("p50", "p90", "p99"):
        assert coverage[name].intervals == 100 * 4
        assert 0.88 <= coverage[name].rate <= 1.0
    assert coverage["p50"].by_series.total() == coverage["p50"].covering


def test_shared_work_counts_the_same(recording: RecordedRun) -> None:
    coverage = measure_coverage([recording], PLAN, range(4))
    parts = [measure_coverage([recording], PLAN, range(part, 4, 2)) for part in range(2)]
    assert merge_counters(parts) == coverage
    counted = outcomes(recording, interleaved=True, numbers=range(2))
    shared = [outcomes(recording, interleaved=True, numbers=[number]) for number in (1, 0)]
    assert merge_counters(shared) == counted


@pytest.mark.slow
@pytest.mark.parametrize("interleaved", [True, False])
def test_no_false_alarm_without_change_and_every_large_slowdown_is_detected(
    recording: RecordedRun, interleaved: bool
) -> None:
    numbers = range(PLAN.comparisons)
    counted = outcomes(recording, interleaved=interleaved, numbers=numbers)
    assert counted[None].statuses["FAIL"] == 0
    assert counted[None].statuses.total() == PLAN.comparisons
    assert counted[Slowdown("all", "series", 0.50)].power == 1.0
    assert counted[Slowdown("all", "backend", 0.50)].power == 1.0
    small, large = (counted[Slowdown("all", "series", growth)] for growth in (0.05, 0.20))
    assert small.power <= large.power
