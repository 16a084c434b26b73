"""Percentiles of windows against those of the recording."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import merge_counters
from loadtests.judge.calibration.percentiles import (
    WindowPercentiles,
    measure_percentiles,
    merged_percentiles_ms,
)
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.measure.histogram import highest_value_ns
from loadtests.measure.results import Run
from tests.judge.stalled import stalled

PLAN = CalibrationPlan(block=10)


def test_patterns_of_a_backend_are_merged_call_by_call(recording: RecordedRun) -> None:
    merged = merged_percentiles_ms(recording.series)
    for backend in ("dynamodb", "postgres"):
        parts = [s for key, s in recording.series.items() if key.backend == backend]
        values_ns = np.sort(
            np.concatenate([np.repeat(highest_value_ns(s.index), s.counts) for s in parts])
        )
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            rank = math.ceil(q * values_ns.size)
            assert merged[backend, name] == values_ns[rank - 1] / 1e6


def test_stalls_move_the_percentiles_of_all_calls_only(run: Run, recording: RecordedRun) -> None:
    disturbed = RecordedRun(stalled(run, share=0.2, delay_ms=20.0))
    windows = measure_percentiles([disturbed], 40, PLAN, range(4))
    true_ms = merged_percentiles_ms(recording.series)["dynamodb", "p99"]
    calm = windows["dynamodb", "p99", "undisturbed"]
    assert len(calm.values_ms) == 4
    assert calm.at(0.5) == pytest.approx(true_ms, rel=0.1)
    assert windows["dynamodb", "p99", "all"].at(0.5) > true_ms + 10


def test_without_measured_stalls_there_are_no_undisturbed_windows(recording: RecordedRun) -> None:
    windows = measure_percentiles([recording], 40, PLAN, range(2))
    assert windows["dynamodb", "p50", "undisturbed"].values_ms == ()
    assert math.isnan(WindowPercentiles().at(0.5))


def test_shared_work_counts_the_same(recording: RecordedRun) -> None:
    parts = [measure_percentiles([recording], 40, PLAN, range(n, 5, 2)) for n in (0, 1)]
    assert merge_counters(parts) == measure_percentiles([recording], 40, PLAN, range(5))
