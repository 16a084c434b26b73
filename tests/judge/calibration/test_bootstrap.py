"""Resampled runs: blocks of recorded seconds, and the random split into two equal subjects."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.judge.calibration.bootstrap import RecordedRun, pooled_series, split_randomly
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.measure.histogram import Histogram
from loadtests.measure.results import Run
from tests.judge.calibration.conftest import SECONDS


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_a_resample_holds_each_drawn_second_as_recorded(run: Run, recording: RecordedRun) -> None:
    seconds = np.array([5, 6, 7, 5])
    for key, resampled in recording.resample(seconds).items():
        by_second = sorted(run.intervals[key], key=lambda interval: interval.start_s)
        expected, actual = Histogram(), Histogram()
        for second in seconds:
            expected.add(by_second[second].counts)
        np.add.at(actual.counts, resampled.index, resampled.counts)
        assert actual.sparse() == expected.sparse()
        totals = [by_second[second].counts.total for second in seconds]
        assert resampled.calls_by_unit().tolist() == totals
        assert resampled.units == 4


def test_seconds_that_are_skipped_are_in_no_resample(run: Run, recording: RecordedRun) -> None:
    later = RecordedRun(run, skip=30)
    assert later.seconds == recording.seconds - 30
    every_second = np.arange(later.seconds)
    expected = recording.resample(every_second + 30)
    for key, resampled in later.resample(every_second).items():
        assert (resampled.index == expected[key].index).all()
        assert (resampled.counts == expected[key].counts).all()
        assert (resampled.unit == expected[key].unit).all()
        assert later.series[key].calls == resampled.calls


def test_seconds_stay_together_in_blocks_and_all_have_the_same_probability(
    recording: RecordedRun,
) -> None:
    blocks = recording.draw_seconds(generator(), 60, 10).reshape(-1, 10)
    assert ((np.diff(blocks, axis=1) % recording.seconds) == 1).all()
    rng = generator()
    many = np.concatenate([recording.draw_seconds(rng, 60, 10) for _ in range(600)])
    counts = np.bincount(many, minlength=SECONDS)
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()


def test_a_random_split_loses_no_call(recording: RecordedRun) -> None:
    samples = next(iter(recording.series.values()))
    first, second = split_randomly(samples, generator())
    assert first.calls + second.calls == samples.calls
    sums = first.calls_by_unit() + second.calls_by_unit()
    assert sums.tolist() == samples.calls_by_unit().tolist()
    assert first.calls == pytest.approx(second.calls, rel=0.05)
    assert estimate_quantile(first, 0.5).estimate_ms == pytest.approx(
        estimate_quantile(second, 0.5).estimate_ms, rel=0.03
    )


def test_the_series_of_a_backend_are_pooled(recording: RecordedRun) -> None:
    pooled = pooled_series(recording.series)
    assert sorted(backend for backend, _ in pooled) == ["dynamodb", "postgres"]
    for (backend, driver), series in pooled.items():
        calls = [
            samples.calls
            for key, samples in recording.series.items()
            if (key.backend, key.driver) == (backend, driver)
        ]
        assert series.samples.calls == sum(calls)


def test_the_first_units_are_what_a_shorter_run_would_have_recorded(
    recording: RecordedRun,
) -> None:
    for samples in recording.series.values():
        begun = samples.between(0, 30)
        assert begun.units == 30
        assert begun.calls_by_unit().tolist() == samples.calls_by_unit()[:30].tolist()
        assert begun.calls_above(12_000).tolist() == samples.calls_above(12_000)[:30].tolist()
        assert begun.cumulative[-1] == begun.calls == begun.counts.sum()
