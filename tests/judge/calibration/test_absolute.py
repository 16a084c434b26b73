"""How limits at multiples of the true p99 are decided."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.calibration.absolute import limit_statuses, measure_limits
from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Decisions, merge_counters
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.interim import InterimAnalysis
from loadtests.judge.judging import judge_run
from loadtests.judge.run_samples import RunSamples
from loadtests.judge.stats.distributions import TailProbability, two_sided
from loadtests.measure.results import Run
from tests.run_folders import made_series, write_run

ALPHA = two_sided(0.95)
ANALYSES = (InterimAnalysis(40.0, ALPHA), InterimAnalysis(60.0, TailProbability(ALPHA / 2)))
PLAN = CalibrationPlan(block=10)


@pytest.fixture(scope="module")
def gate_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    series = made_series(rate_per_s=110.0, drift=0.05)
    return write_run(tmp_path_factory.mktemp("gate") / "run", series=series, seconds=40)


@pytest.fixture(scope="module")
def decisions(recording: RecordedRun) -> dict[float, Decisions]:
    return measure_limits([recording], ANALYSES, PLAN, range(12))


def test_a_limit_far_from_the_true_p99_is_always_decided(
    decisions: dict[float, Decisions],
) -> None:
    assert decisions[3.0].rate("PASS") == 1.0
    assert decisions[3.0].mean_s == 40.0
    assert decisions[0.5].rate("FAIL") == 1.0


def test_higher_limits_pass_more_often_and_fail_less_often(
    decisions: dict[float, Decisions],
) -> None:
    in_order = [decisions[factor] for factor in sorted(decisions)]
    for lower, higher in pairwise(in_order):
        assert lower.limit_rate("PASS") <= higher.limit_rate("PASS")
        assert lower.rate("FAIL") >= higher.rate("FAIL")


def test_shared_work_counts_the_same(
    recording: RecordedRun, decisions: dict[float, Decisions]
) -> None:
    parts = [measure_limits([recording], ANALYSES, PLAN, range(n, 12, 2)) for n in (0, 1)]
    assert merge_counters(parts) == decisions


def test_a_limit_at_the_true_p99_stays_undecided(decisions: dict[float, Decisions]) -> None:
    assert decisions[1.0].rate("INCONCLUSIVE") >= 0.8
    assert decisions[1.0].mean_s > 40.0


@pytest.mark.parametrize("limit_ms", [1.0, 3.0, 4.0, 10.0])
def test_statuses_are_those_of_the_gate(gate_run: Run, limit_ms: float) -> None:
    verdict = judge_run(gate_run, Slo(p99_ms=limit_ms, error_rate=None), Gate(), alpha=ALPHA)
    samples = RunSamples(gate_run)
    keys = [limit.key for limit in verdict.limits]
    quantiles = {key: samples.quantile(key, 0.99) for key in keys}
    statuses = limit_statuses(quantiles, dict.fromkeys(keys, limit_ms), ALPHA)
    assert statuses == [limit.status for limit in verdict.limits]
