from collections import Counter

import numpy as np
import pytest

from loadtests.judge.calibration.absolute import Decided
from loadtests.judge.calibration.bootstrap import Recording, split
from loadtests.judge.calibration.relative import (
    Plan,
    measure_coverage,
    measure_outcomes,
    slowed,
)
from loadtests.judge.calibration.table import Cost, calibration_table
from loadtests.judge.calibration.tallies import added
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.measure.histogram import Histogram
from tests.run_folders import made_series, write_run

PLAN = Plan(runs=40, comparisons=12, seconds=60, block=10)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    series = made_series(["cart.get", "cart.add"], rate_per_s=160.0, drift=0.05, tail_share=0.0)
    return write_run(tmp_path_factory.mktemp("recorded") / "run", series=series, seconds=90)


@pytest.fixture(scope="module")
def recording(run):
    return Recording(run)


def rng():
    return np.random.default_rng(1)


def test_a_draw_holds_each_drawn_second_as_recorded(run, recording):
    seconds = np.array([5, 6, 7, 5])
    for key, drawn in recording.draw(seconds).items():
        by_second = sorted(run.intervals[key], key=lambda one: one.start_s)
        merged = Histogram()
        for second in seconds:
            merged.add(by_second[second].counts)
        held = merged.sparse()
        found = Histogram()
        np.add.at(found.counts, drawn.index, drawn.counts)
        assert found.sparse() == held
        assert drawn.calls_by_unit().tolist() == [by_second[s].counts.total for s in seconds]
        assert drawn.units == 4


def test_seconds_that_are_skipped_are_in_no_draw(run, recording):
    later = Recording(run, skip=30)
    assert later.seconds == recording.seconds - 30
    same = np.arange(later.seconds)
    for key, drawn in later.draw(same).items():
        expected = recording.draw(same + 30)[key]
        assert (drawn.index == expected.index).all()
        assert (drawn.counts == expected.counts).all()
        assert (drawn.unit == expected.unit).all()
        assert later.whole[key].calls == drawn.calls


def test_drawn_seconds_stay_together_and_all_are_as_likely(recording):
    drawn = np.concatenate([recording.draw_seconds(rng(), 60, 10)])
    blocks = drawn.reshape(-1, 10)
    assert ((np.diff(blocks, axis=1) % recording.seconds) == 1).all()
    generator = rng()
    many = np.concatenate([recording.draw_seconds(generator, 60, 10) for _ in range(600)])
    counts = np.bincount(many, minlength=90)
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()


def test_a_split_loses_no_call(recording):
    whole = next(iter(recording.whole.values()))
    a, b = split(whole, rng())
    assert a.calls + b.calls == whole.calls
    assert (a.calls_by_unit() + b.calls_by_unit()).tolist() == whole.calls_by_unit().tolist()
    assert a.calls == pytest.approx(b.calls, rel=0.05)
    assert estimate_quantile(a, 0.5).estimate_ms == pytest.approx(
        estimate_quantile(b, 0.5).estimate_ms, rel=0.03
    )


def test_slowing_the_tail_leaves_the_median(recording):
    whole = next(iter(recording.whole.values()))
    tail, everything = slowed(whole, 0.2, "tail"), slowed(whole, 0.2, "all")
    before = {q: estimate_quantile(whole, q).estimate_ms for q in (0.5, 0.99)}
    assert estimate_quantile(tail, 0.5).estimate_ms == before[0.5]
    assert estimate_quantile(tail, 0.99).estimate_ms == pytest.approx(1.2 * before[0.99], rel=0.002)
    assert estimate_quantile(everything, 0.5).estimate_ms == pytest.approx(
        1.2 * before[0.5], rel=0.002
    )


def test_coverage_on_drifting_runs_is_near_what_is_claimed(tmp_path):
    """Memory of a few seconds, which a run of a minute can see."""
    kinds = {"drift": 0.05, "memory": 0.5, "shared": 0.0, "tail_share": 0.0, "rate_per_s": 160.0}
    made = made_series(["cart.get", "cart.add"], **kinds)
    drifting = Recording(write_run(tmp_path / "run", series=made, seconds=90))
    found = measure_coverage([drifting], PLAN, range(100))
    for name in ("p50", "p90", "p99"):
        assert found[name].intervals == 100 * 4
        assert 0.88 <= found[name].share <= 1.0
    assert found["p50"].by_series.total() == found["p50"].held


def outcomes(recording, *, interleaved, numbers=range(PLAN.comparisons)):
    return measure_outcomes([recording] * 2, PLAN, numbers, interleaved=interleaved)


def test_shared_out_the_work_finds_the_same(recording):
    whole = measure_coverage([recording], PLAN, range(6))
    parts = [measure_coverage([recording], PLAN, range(part, 6, 2)) for part in range(2)]
    assert added(parts) == whole
    whole = outcomes(recording, interleaved=True, numbers=range(3))
    parts = [outcomes(recording, interleaved=True, numbers=[number]) for number in (2, 0, 1)]
    assert added(parts) == whole


@pytest.mark.parametrize("interleaved", [True, False])
def test_no_alarm_without_change_and_none_missed_at_half_more(recording, interleaved):
    found = outcomes(recording, interleaved=interleaved)
    assert found[None].statuses["FAIL"] == 0
    assert found[None].statuses.total() == PLAN.comparisons
    assert found["all", "series", 0.50].power == 1.0
    assert found["all", "backend", 0.50].power == 1.0
    assert found["all", "series", 0.05].power <= found["all", "series", 0.20].power


def test_the_table_says_what_it_was_measured_on(run, recording):
    found = outcomes(recording, interleaved=True)
    coverage = measure_coverage([recording], PLAN, range(PLAN.runs))
    limits = {1.5: Decided(Counter(PASS=3, INCONCLUSIVE=1), Counter(PASS=15, FAIL=5), 480.0)}
    text = calibration_table(
        [run], [recording], PLAN, coverage, found, found, limits, Cost(0.25, 12.0)
    )
    assert "(4 drawn runs, all series)" in text
    assert "| 1.5 × the true p99 | 75.0% | 0.0% | 25.0% | 75.0% | 25.0% | 0.0% | 120 |" in text
    assert "`run`: 90 s, 4 series," in text
    assert "| interleaved | 12 | 0.0% | 22.1% |" in text
    assert "| all calls (p50 and p99) | one pattern |" in text
    assert "took 0.25 s" in text
