"""How limits at multiples of the truth are decided: looks, prefixes, and the ends of the scale."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.calibration.absolute import measure_limits, statuses_of
from loadtests.judge.calibration.bootstrap import Recording
from loadtests.judge.calibration.relative import Plan
from loadtests.judge.calibration.tallies import added
from loadtests.judge.interim import InterimAnalysis
from loadtests.judge.judging import judge_run
from loadtests.judge.measured import Measured
from loadtests.measure.results import Key
from tests.run_folders import made_series, write_run

LOOKS = (InterimAnalysis(40.0, 0.025), InterimAnalysis(60.0, 0.0125))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    series = made_series(["cart.get", "cart.add"], rate_per_s=120.0, drift=0.05, tail_share=0.0)
    return write_run(tmp_path_factory.mktemp("recorded") / "run", series=series, seconds=80)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    series = made_series(rate_per_s=110.0, drift=0.05)
    return write_run(tmp_path_factory.mktemp("whole") / "run", series=series, seconds=40)


@pytest.fixture(scope="module")
def decided(run):
    return measure_limits([Recording(run)], LOOKS, Plan(block=10), range(12))


def test_a_limit_far_from_the_truth_is_always_decided(decided):
    assert decided[3.0].share("PASS") == 1.0
    assert decided[3.0].mean_s == 40.0
    assert decided[0.5].share("FAIL") == 1.0


def test_the_higher_the_limit_the_more_pass_and_the_fewer_fail(decided):
    in_order = [decided[times] for times in sorted(decided)]
    for lower, higher in pairwise(in_order):
        assert lower.share_of_limits("PASS") <= higher.share_of_limits("PASS")
        assert lower.share("FAIL") >= higher.share("FAIL")


def test_shared_out_the_work_finds_the_same(run, decided):
    recordings = [Recording(run)]
    parts = [measure_limits(recordings, LOOKS, Plan(block=10), range(n, 12, 2)) for n in (0, 1)]
    assert added(parts) == decided


def test_a_limit_at_the_truth_is_left_open(decided):
    assert decided[1.0].share("INCONCLUSIVE") >= 0.8
    assert decided[1.0].mean_s > 40.0


def test_the_first_units_are_what_a_shorter_run_would_have_held(run):
    for samples in Recording(run).whole.values():
        begun = samples.between(0, 30)
        assert begun.units == 30
        assert begun.calls_by_unit().tolist() == samples.calls_by_unit()[:30].tolist()
        assert begun.calls_above(12_000).tolist() == samples.calls_above(12_000)[:30].tolist()
        assert begun.below[-1] == begun.calls == begun.counts.sum()


@pytest.mark.parametrize("limit_ms", [1.0, 2.0, 3.0, 4.0, 6.0, 10.0])
def test_statuses_are_those_of_the_gate(whole_run, limit_ms):
    slo = Slo(p99_ms=limit_ms, error_rate=None)
    verdict = judge_run(whole_run, slo, Gate(), level=0.025)
    measured = Measured(whole_run)
    keys = [Key(x.backend, x.driver, x.pattern, x.metric) for x in verdict.limits]
    quantiles = {key: measured.quantile(key, 0.99) for key in keys}
    found = statuses_of(quantiles, dict.fromkeys(keys, limit_ms), 0.025)
    assert found == [one.status for one in verdict.limits]
