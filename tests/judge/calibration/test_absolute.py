"""How limits at multiples of the true p99 are decided."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.calibration.absolute import (
    SLOWED,
    DrawnRun,
    measure_limits,
    true_quantiles_ms,
)
from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Decisions, merge_counters
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.interim import InterimAnalysis
from loadtests.judge.judging import judge_run
from loadtests.judge.run_samples import RunSamples
from loadtests.judge.slo import limits_of
from loadtests.judge.stats.distributions import TailProbability, two_sided
from loadtests.measure.results import Run
from tests.judge.stalled import stalled
from tests.run_folders import made_series, write_run

ALPHA = two_sided(0.95)
ANALYSES = (InterimAnalysis(40.0, ALPHA), InterimAnalysis(60.0, TailProbability(ALPHA / 2)))
PLAN = CalibrationPlan(block=10)


@pytest.fixture(scope="module")
def gate_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    series = made_series(rate_per_s=110.0, drift=0.05)
    return write_run(tmp_path_factory.mktemp("gate") / "run", series=series, seconds=40)


@pytest.fixture(scope="module")
def decisions(recording: RecordedRun) -> dict[float | None, Decisions]:
    return measure_limits([recording], ANALYSES, PLAN, range(12))


def test_a_limit_far_from_the_true_p99_is_always_decided(
    decisions: dict[float | None, Decisions],
) -> None:
    assert decisions[3.0].rate("PASS") == 1.0
    assert decisions[3.0].mean_s == 40.0
    assert decisions[0.5].rate("FAIL") == 1.0


def test_higher_limits_pass_more_often_and_fail_less_often(
    decisions: dict[float | None, Decisions],
) -> None:
    in_order = [decisions[factor] for factor in sorted(filter(None, decisions))]
    for lower, higher in pairwise(in_order):
        assert lower.limit_rate("PASS") <= higher.limit_rate("PASS")
        assert lower.rate("FAIL") >= higher.rate("FAIL")


def test_shared_work_counts_the_same(
    recording: RecordedRun, decisions: dict[float | None, Decisions]
) -> None:
    parts = [measure_limits([recording], ANALYSES, PLAN, range(n, 12, 2)) for n in (0, 1)]
    assert merge_counters(parts) == decisions


def test_a_limit_at_the_true_p99_stays_undecided(decisions: dict[float | None, Decisions]) -> None:
    assert decisions[1.0].rate("INCONCLUSIVE") >= 0.8
    assert decisions[1.0].mean_s == 40.0  # it would need far more than the longest run


def test_an_undecided_window_is_extended(recording: RecordedRun) -> None:
    analyses = (InterimAnalysis(5.0, ALPHA), InterimAnalysis(40.0, ALPHA))
    decisions = measure_limits([recording], analyses, PLAN, range(2))
    assert decisions[3.0].rate("PASS") == 1.0
    assert decisions[3.0].mean_s == 40.0  # five seconds show no bound


def window_of(run: Run) -> DrawnRun:
    """The whole recording, in order, as a window."""
    samples = RunSamples(run)
    keys = [info.key("response_time") for info in samples.series()]
    undisturbed = None
    if run.undisturbed is not None:
        calm = RunSamples(run, "undisturbed")
        undisturbed = {key: calm.samples(key) for key in keys}
    failed = {
        info.key("response_time"): np.array([sum(info.errors.values()) + info.unfinished])
        for info in samples.series()
    }
    return DrawnRun({key: samples.samples(key) for key in keys}, undisturbed, failed)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("limit_ms", [1.0, 3.0, 4.0, 10.0, 60.0])
def test_a_window_is_judged_like_a_run(gate_run: Run, limit_ms: float, share: float) -> None:
    run = stalled(gate_run, share=share, delay_ms=5.0) if share else gate_run
    slo = Slo(p99_ms=limit_ms)
    verdict = judge_run(run, slo, Gate(), alpha=ALPHA)
    limits = limits_of(run.info.series, slo, relative=False)
    decided = window_of(run).judge(limits, 40, ALPHA)
    assert decided.limits == verdict.limits
    assert (decided.status, decided.needed_s) == (verdict.status, verdict.needed_s)


@pytest.fixture(scope="module")
def disturbed(run: Run) -> RecordedRun:
    return RecordedRun(stalled(run, share=0.2, delay_ms=20.0))


def test_undisturbed_calls_decide_where_all_calls_break_every_limit(
    disturbed: RecordedRun,
) -> None:
    decisions = measure_limits([disturbed], ANALYSES, PLAN, range(6))
    assert decisions[3.0].rate("PASS") == 1.0  # the p99 of all calls is far above
    assert decisions[SLOWED].rate("FAIL") == 1.0
    assert decisions[None].rate("PASS") == 1.0


def test_beyond_the_budget_no_window_fails(run: Run) -> None:
    recording = RecordedRun(stalled(run, share=0.6, delay_ms=20.0))
    decisions = measure_limits([recording], ANALYSES, PLAN, range(4))
    assert {decided.rate("INCONCLUSIVE") for decided in decisions.values()} == {1.0}


def test_the_truth_is_that_of_undisturbed_calls(run: Run, disturbed: RecordedRun) -> None:
    calm = true_quantiles_ms(disturbed, "p99")
    for key, true_ms in true_quantiles_ms(RecordedRun(run), "p99").items():
        assert calm[key] == pytest.approx(true_ms, rel=0.1)


def test_limits_follow_a_quiet_recording_where_one_is_given(
    run: Run, disturbed: RecordedRun
) -> None:
    series = made_series(["cart.get", "cart.add"], rate_per_s=120.0, tail_share=0.0)
    slower = [replace(each, median_ms=4 * each.median_ms) for each in series]
    quiet = RecordedRun(write_run(run.path.with_name("quiet"), series=slower, seconds=60))
    decisions = measure_limits([disturbed], ANALYSES, PLAN, range(3), quiet=quiet)
    assert decisions[SLOWED].rate("PASS") == 1.0  # limits of 4 / 1.5 times its own p99


def test_a_window_holds_failures_at_the_rate_of_its_recording(run: Run) -> None:
    info = run.info.model_copy(
        update={
            "series": [
                each.model_copy(update={"errors": {"Refused": each.count // 50}})
                for each in run.info.series
            ]
        }
    )
    recording = RecordedRun(replace(run, info=info))
    decisions = measure_limits([recording], ANALYSES, PLAN, range(3))
    assert decisions[3.0].rate("FAIL") == 1.0  # 2% where 0.1% are allowed
    assert decisions[3.0].limit_rate("PASS") == 1.0  # which counts limits on p99
