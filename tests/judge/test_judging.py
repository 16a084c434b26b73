from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from loadtests.config import Gate, Relative, Slo
from loadtests.errors import ConfigError, ResultsError
from loadtests.judge.baseline import Baseline
from loadtests.judge.judging import Circumstances, broken_in_this_run, judge_run
from loadtests.judge.limit_estimate import LimitEstimate
from loadtests.judge.run_samples import MAX_LEFT_OUT
from loadtests.judge.slo import Limit
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.proportions import FailureRate
from loadtests.judge.storing import store_verdict
from loadtests.measure.results import (
    BaselineReference,
    LimitVerdict,
    Run,
    Verdict,
    read_run,
    write_info,
)
from loadtests.patterns import ALL_PATTERNS
from tests.judge.random_runs import TRUE_P99_MS, random_run
from tests.judge.stalled import LATE, STARVED, stalled, with_left_out, with_reasons
from tests.known import known
from tests.run_folders import MadeSeries, made_series, write_run

CART_GET = MadeSeries(rate_per_s=150.0, median_ms=3.0)
ONE_PATTERN = {"patterns": ["cart.get"]}


def one_series(
    path: Path,
    *,
    seconds: int = 60,
    series: MadeSeries = CART_GET,
    **settings: Any,
) -> Run:
    settings = {"config": ONE_PATTERN} | settings
    return write_run(path, series=[series], seconds=seconds, **settings)


def test_a_healthy_run_passes_with_intervals_inside_their_limits(tmp_path: Path) -> None:
    verdict = judge_run(
        write_run(tmp_path / "run", series=made_series(rate_per_s=110.0, drift=0.05), seconds=40),
        Slo(),
        Gate(),
    )
    assert (verdict.status, verdict.exit_code) == ("PASS", 0)
    assert len(verdict.limits) == 9 * 2 * 2
    for one in verdict.limits:
        assert one.status == "PASS"
        assert known(one.low) <= known(one.estimate) <= known(one.high) <= one.limit
        assert one.needed_calls is None
    assert len(verdict.estimates) == 9 * 2 * 4
    assert verdict.sentence == "PASS: all 36 limits hold at 95% confidence."


def test_a_slow_pattern_fails_and_is_named(tmp_path: Path) -> None:
    series = made_series(rate_per_s=110.0)
    series[3] = replace(series[3], median_ms=12.0)
    verdict = judge_run(write_run(tmp_path / "run", series=series, seconds=40), Slo(), Gate())
    assert (verdict.status, verdict.exit_code) == ("FAIL", 1)
    failed = [one for one in verdict.limits if one.status == "FAIL"]
    assert [(one.backend, one.pattern, one.statistic) for one in failed] == [
        ("dynamodb", "cart.update", "p99")
    ]
    assert known(failed[0].low) > 10
    assert "dynamodb cart.update p99" in verdict.sentence


def test_two_seconds_are_inconclusive_and_say_how_long_it_takes(tmp_path: Path) -> None:
    verdict = judge_run(one_series(tmp_path / "run", seconds=2), Slo(), Gate())
    assert (verdict.status, verdict.exit_code) == ("INCONCLUSIVE", 3)
    assert known(verdict.needed_s) >= 10
    assert "measured seconds would decide" in verdict.sentence
    p99 = verdict.limits[0]
    assert p99.high is None
    assert known(p99.needed_calls) >= 299
    assert f"{p99.needed_calls:,}" in p99.sentence


def test_a_limit_within_the_interval_is_inconclusive(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run")
    p99 = known(judge_run(run, Slo(), Gate()).limits[0].estimate)
    verdict = judge_run(run, Slo(p99_ms=p99 * 1.01, error_rate=None), Gate())
    assert verdict.status == "INCONCLUSIVE"
    assert known(verdict.limits[0].low) < p99 * 1.01 < known(verdict.limits[0].high)
    assert known(verdict.limits[0].needed_calls) > verdict.limits[0].calls


def test_a_distorted_run_is_invalid_whatever_was_measured(tmp_path: Path) -> None:
    for name, median_ms in (("fast", 1.0), ("slow", 50.0)):
        series = replace(CART_GET, median_ms=median_ms)
        run = with_reasons(one_series(tmp_path / name, series=series), STARVED)
        verdict = judge_run(run, Slo(), Gate())
        assert (verdict.status, verdict.exit_code) == ("INVALID", 4)
        assert "generator CPU" in verdict.sentence
        assert {one.status for one in verdict.limits} == {"INVALID"}


def test_a_late_generator_rules_out_a_failure_only(tmp_path: Path) -> None:
    for name, median_ms, status in (("fast", 1.0, "PASS"), ("slow", 50.0, "INVALID")):
        series = replace(CART_GET, median_ms=median_ms)
        verdict = judge_run(one_series(tmp_path / name, series=series, valid=False), Slo(), Gate())
        assert verdict.limits[0].status == status
        assert verdict.status == status


def test_a_run_that_never_judged_its_generator_is_invalid(tmp_path: Path) -> None:
    verdict = judge_run(one_series(tmp_path / "run", valid=None), Slo(), Gate())
    assert verdict.status == "INVALID"


def test_a_missing_pattern_is_invalid_and_named(tmp_path: Path) -> None:
    series = [one for one in made_series(rate_per_s=110.0) if one.pattern != "session.get"]
    verdict = judge_run(write_run(tmp_path / "run", series=series, seconds=30), Slo(), Gate())
    assert verdict.status == "INVALID"
    assert verdict.reasons == (
        "dynamodb session.get was not measured.",
        "postgres session.get was not measured.",
    )


def test_a_series_without_calls_is_a_missing_pattern(tmp_path: Path) -> None:
    config = {"patterns": ["cart.get", "cart.add"], "load": {"backend": "dynamodb"}}
    silent = replace(CART_GET, pattern="cart.add", rate_per_s=0.0)
    run = write_run(tmp_path / "run", series=[CART_GET, silent], config=config)
    assert judge_run(run, Slo(), Gate()).reasons == ("dynamodb cart.add was not measured.",)


def test_a_metric_that_was_not_recorded_is_invalid(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run")
    intervals = {k: v for k, v in run.intervals.items() if k.metric != "wire_time"}
    verdict = judge_run(replace(run, intervals=intervals), Slo(metric="wire_time"), Gate())
    assert verdict.status == "INVALID"
    assert verdict.reasons == ("no wire_time recorded for dynamodb cart.get.",)


def test_errors_and_unfinished_calls_count_against_the_error_rate(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run", series=replace(CART_GET, error_share=0.01))
    error_rate = judge_run(run, Slo(), Gate()).limits[1]
    assert error_rate.statistic == "error_rate"
    assert error_rate.status == "FAIL"
    series = run.info.series[0].model_copy(update={"errors": {}, "unfinished": 90})
    unfinished = replace(run, info=run.info.model_copy(update={"series": [series]}))
    assert judge_run(unfinished, Slo(), Gate()).limits[1].status == "FAIL"


def test_fail_beats_inconclusive(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run", series=replace(CART_GET, median_ms=20.0), seconds=15)
    verdict = judge_run(run, Slo(), Gate())
    assert {one.status for one in verdict.limits} == {"FAIL", "INCONCLUSIVE"}
    assert verdict.status == "FAIL"


def test_a_smaller_level_widens_every_bound(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run")
    whole, part = (
        judge_run(run, Slo(), Gate(), alpha=TailProbability(level)) for level in (0.05, 0.01)
    )
    for a, b in zip(whole.limits, part.limits, strict=True):
        assert known(b.low) <= known(a.low)
        assert known(b.high) >= known(a.high)


def test_slower_than_the_baseline_fails_by_name_although_the_promise_holds(tmp_path: Path) -> None:
    steady: dict[str, Any] = {"drift": 0.02, "rate_per_s": 110.0}
    settings: dict[str, Any] = {"seconds": 40}
    series = made_series(**steady)
    base = write_run(tmp_path / "base", series=series, seed=1, **settings)
    unchanged = write_run(tmp_path / "same", series=series, seed=3, **settings)
    series = list(series)
    series[0] = replace(series[0], median_ms=series[0].median_ms * 1.3)
    run = write_run(tmp_path / "run", series=series, seed=2, **settings)
    verdict = judge_run(run, Slo(), Gate(), Baseline("main", (base,)))
    assert verdict.status == "FAIL"
    failed = [one for one in verdict.limits if one.status == "FAIL"]
    assert {(one.backend, one.pattern) for one in failed} == {("dynamodb", "cart.get")}
    assert "p50_ratio" in {one.statistic for one in failed}
    assert verdict.baseline == BaselineReference(name="main", runs=("base",))
    again = judge_run(unchanged, Slo(), Gate(), Baseline("main", (base,)))
    assert "FAIL" not in {one.status for one in again.limits}


def calm_run(path: Path, seed: int, factor: float = 1.0) -> Run:
    """A run whose DynamoDB takes `factor` as long as usual."""
    calm: dict[str, Any] = {"drift": 0.02, "sigma": 0.6, "tail_share": 0.0, "rate_per_s": 12.0}
    series = [
        replace(
            series, median_ms=series.median_ms * (factor if series.backend == "dynamodb" else 1)
        )
        for series in made_series(**calm)
    ]
    return write_run(path, series=series, seconds=90, seed=seed)


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    folder = tmp_path_factory.mktemp("baseline")
    return Baseline("main", tuple(calm_run(folder / f"base{seed}", seed) for seed in (1, 2, 3)))


def against_baseline(tmp_path: Path, baseline: Baseline, factor: float) -> Verdict:
    """The verdict on a run whose DynamoDB takes `factor` as long as in its baseline."""
    slo = Slo(p99_ms=100.0, error_rate=None)
    return judge_run(calm_run(tmp_path / "run", 9, factor), slo, Gate(), baseline)


def test_undecided_single_patterns_do_not_leave_the_run_undecided(
    tmp_path: Path, three_runs: Baseline
) -> None:
    verdict = against_baseline(tmp_path, three_runs, 1.0)
    ratios = [one for one in verdict.limits if one.unit == "ratio"]
    single = [one for one in ratios if one.pattern != ALL_PATTERNS]
    assert verdict.status == "PASS"
    assert all(one.status == "PASS" for one in ratios if one.pattern == ALL_PATTERNS)
    assert not any(one.decides for one in single)
    left = [one for one in single if one.status == "INCONCLUSIVE"]
    assert left
    assert f"{len(left)} baseline limits of single access patterns are undecided" in (
        verdict.sentence
    )
    assert f"all {len(verdict.limits) - len(single)} limits hold" in verdict.sentence


def test_a_change_of_every_pattern_is_found_over_all_of_them(
    tmp_path: Path, three_runs: Baseline
) -> None:
    verdict = against_baseline(tmp_path, three_runs, 1.3)
    failed = {
        (one.backend, one.statistic)
        for one in verdict.limits
        if one.status == "FAIL" and one.pattern == ALL_PATTERNS
    }
    assert verdict.status == "FAIL"
    assert failed == {("dynamodb", "p50_ratio"), ("dynamodb", "p99_ratio")}
    assert "limits broken: dynamodb all patterns p50" in verdict.sentence


def test_a_baseline_from_elsewhere_is_refused_naming_the_fields(tmp_path: Path) -> None:
    base = one_series(tmp_path / "base", environment={"kernel": "Linux 5.4"}, scenario="cart")
    with pytest.raises(ResultsError) as caught:
        judge_run(one_series(tmp_path / "run"), Slo(), Gate(), Baseline("old", (base,)))
    assert f"environment.kernel: {platform.release()}, Linux 5.4" in caught.value.message
    assert "scenario: storefront, cart" in caught.value.message


def test_the_stored_verdict_is_plain_json_and_comes_back(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run", seconds=15)
    verdict = judge_run(run, Slo(), Gate())
    store_verdict(run, verdict)
    assert read_run(tmp_path / "run").info.verdict == verdict
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["verdict"]
    assert (stored["status"], stored["exit_code"]) == (verdict.status, verdict.exit_code)
    assert stored["counts"] == verdict.counts
    assert stored["slo"]["p99_ms"] == 10.0
    units = {(x["kind"], x["statistic"], x["unit"]) for x in stored["limits"]}
    assert units == {("absolute", "p99", "ms"), ("error_rate", "error_rate", "share")}


def test_dynamodb_against_postgres_is_stored_with_the_verdict(tmp_path: Path) -> None:
    series = made_series(["cart.get"], rate_per_s=60.0)
    run = write_run(tmp_path / "run", series=series, seconds=15, config=ONE_PATTERN)
    stored = store_verdict(run, judge_run(run, Slo(metric="service_time"), Gate())).info
    assert known(stored.head_to_head).metric == "service_time"
    ratios = {x.percentile: x for x in known(stored.head_to_head).ratios}
    assert ratios.keys() == {"p50", "p99"}
    assert known(ratios["p50"].low) < ratios["p50"].ratio < known(ratios["p50"].high)
    assert read_run(run.path).info.head_to_head == stored.head_to_head


def test_a_run_that_does_not_count_stores_no_comparison(tmp_path: Path) -> None:
    series = made_series(["cart.get"], rate_per_s=60.0)
    run = write_run(tmp_path / "run", series=series, valid=False, config=ONE_PATTERN)
    verdict = judge_run(run, Slo(), Gate())
    assert verdict.status == "INVALID"
    assert store_verdict(run, verdict).info.head_to_head is None


def test_no_limit_at_all_never_passes(tmp_path: Path) -> None:
    slo = Slo(p99_ms=None, error_rate=None, relative=Relative(p50=None, p99=None))
    with pytest.raises(ConfigError, match="no limit is set"):
        judge_run(one_series(tmp_path / "run"), slo, Gate())


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"run\.json: field series: the run measured no calls"):
        judge_run(write_run(tmp_path / "run", series=[]), Slo(), Gate())


def test_a_log_cut_short_is_refused_with_file_and_field(tmp_path: Path) -> None:
    one_series(tmp_path / "run", seconds=10)
    log = tmp_path / "run" / "latency.hlog"
    text = log.read_text()
    log.write_text(text[: int(len(text) * 0.2)])
    with pytest.raises(ResultsError, match=r"latency\.hlog holds .* series\.count says"):
        judge_run(read_run(tmp_path / "run"), Slo(), Gate())


def test_a_newer_schema_and_a_cut_run_json_are_refused(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run", seconds=10)
    write_info(run.path, run.info.model_copy(update={"schema_version": 99}))
    with pytest.raises(ResultsError, match="schema_version 99"):
        read_run(run.path)
    file = run.path / "run.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(ResultsError, match=r"run\.json is cut short"):
        read_run(run.path)


def test_a_figure_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    run = one_series(tmp_path / "run", seconds=10)
    file = run.path / "run.json"
    file.write_text(file.read_text().replace('"duration_s": 13.0', '"duration_s": NaN'))
    with pytest.raises(ResultsError, match="duration_s"):
        judge_run(read_run(run.path), Slo(), Gate())


# --- stalls of the machine, and delay by the generator


SLOW_MS = 100.0  # beyond every limit


def quiet_run(path: Path, **settings: Any) -> Run:
    """A run of one series that keeps its limits."""
    return one_series(path, seconds=40, **settings)


P99 = Slo(error_rate=None)


def only(verdict: Verdict) -> LimitVerdict:
    """The verdict's one limit."""
    (limit,) = verdict.limits
    return limit


def test_a_limit_that_all_calls_keep_passes_whatever_the_machine_did(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.7, delay_ms=0.1)
    verdict = judge_run(with_reasons(run, LATE), P99, Gate())
    limit = only(verdict)
    assert (verdict.status, limit.status, limit.basis) == ("PASS", "PASS", "all")
    assert "on all calls, disturbed ones included, within 10.0 ms" in limit.sentence
    assert verdict.sentence.endswith("They hold for all calls, disturbed ones included.")
    assert verdict.reasons == ()


def test_calls_that_the_machine_delayed_do_not_break_a_limit(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.07, delay_ms=SLOW_MS)
    verdict = judge_run(run, P99, Gate())
    limit = only(verdict)
    assert (verdict.status, limit.basis) == ("PASS", "undisturbed")
    assert known(known(limit.all_calls).low) > 10  # by all calls it would have failed
    assert (limit.low, limit.high, limit.calls) == (
        known(limit.undisturbed).low,
        known(limit.undisturbed).high,
        known(limit.undisturbed).calls,
    )
    assert limit.calls < known(limit.all_calls).calls
    assert "on 93% of calls, undisturbed by the machine" in limit.sentence
    assert "1 of them on 93% of calls, undisturbed by the machine" in verdict.sentence


def test_a_slow_database_fails_on_undisturbed_calls(tmp_path: Path) -> None:
    slow = replace(CART_GET, median_ms=20.0)
    run = stalled(quiet_run(tmp_path / "run", series=slow), share=0.2, delay_ms=1.0)
    limit = only(judge_run(run, P99, Gate()))
    assert (limit.status, limit.basis) == ("FAIL", "undisturbed")
    assert "of calls, undisturbed by the machine" in limit.sentence


def test_a_failure_that_the_generator_may_have_caused_is_invalid(tmp_path: Path) -> None:
    slow = replace(CART_GET, median_ms=20.0)
    run = stalled(quiet_run(tmp_path / "run", series=slow), share=0.2, delay_ms=1.0)
    verdict = judge_run(with_reasons(run, LATE), P99, Gate())
    assert verdict.status == "INVALID"
    assert "the generator's own delay may be the cause" in only(verdict).sentence
    assert verdict.sentence == (
        "INVALID: 1 of 1 limits cannot be judged: late dispatches: generator dispatched 3.00% of"
        " the arrivals late. Lower --rate."
    )


def test_what_rules_out_every_verdict_rules_out_pass_too(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.1, delay_ms=0.0)
    verdict = judge_run(with_reasons(run, LATE, STARVED), P99, Gate())
    assert (verdict.status, only(verdict).status) == ("INVALID", "INVALID")
    assert "generator CPU" in verdict.sentence
    assert len(verdict.reasons) == 2


def test_above_the_budget_nothing_but_a_pass_of_all_calls_is_decided(tmp_path: Path) -> None:
    slow = replace(CART_GET, median_ms=20.0)
    for name, series in (("slow", slow), ("fast", CART_GET)):
        run = stalled(quiet_run(tmp_path / name, series=series), share=0.61, delay_ms=SLOW_MS)
        verdict = judge_run(run, P99, Gate())
        limit = only(verdict)
        assert (verdict.status, limit.status, limit.basis) == (
            "INCONCLUSIVE",
            "INCONCLUSIVE",
            "all",
        )
        assert limit.needed_calls is None
        assert (
            "the machine stalled too often: 61% of the calls are left out, at most 50% may be."
        ) in verdict.sentence
        assert verdict.sentence.count("stalled too often") == 1


@pytest.mark.parametrize(("share", "status"), [(MAX_LEFT_OUT, "PASS"), (0.501, "INCONCLUSIVE")])
def test_the_budget_is_the_share_of_the_run(tmp_path: Path, share: float, status: str) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.4, delay_ms=SLOW_MS)
    run = replace(run, info=with_left_out(run.info, share))
    assert judge_run(run, P99, Gate()).status == status


def test_an_undecided_limit_of_a_delayed_generator_can_still_be_decided(tmp_path: Path) -> None:
    run = quiet_run(tmp_path / "run")
    near = Slo(p99_ms=judge_run(run, P99, Gate()).limits[0].estimate * 1.01, error_rate=None)
    measured = with_reasons(stalled(run, share=0.1, delay_ms=0.0), LATE)
    assert judge_run(measured, near, Gate()).status == "INCONCLUSIVE"
    # without meters nothing tells the delays of the machine from those of the generator
    assert judge_run(with_reasons(run, LATE), near, Gate()).status == "INVALID"


def test_calls_needed_are_of_the_basis_and_the_seconds_follow(tmp_path: Path) -> None:
    run = stalled(one_series(tmp_path / "run", seconds=15), share=0.3, delay_ms=SLOW_MS)
    slo = Slo.model_validate({"p99_ms": None, "p99.9_ms": 80.0, "error_rate": None})
    verdict = judge_run(run, slo, Gate())
    limit = only(verdict)
    assert (limit.status, limit.basis) == ("INCONCLUSIVE", "undisturbed")
    assert verdict.needed_s == pytest.approx(15 * known(limit.needed_calls) / limit.calls)
    assert limit.calls == known(limit.undisturbed).calls


def test_errors_are_judged_on_all_calls(tmp_path: Path) -> None:
    failing = replace(CART_GET, error_share=0.01)
    run = stalled(quiet_run(tmp_path / "run", series=failing), share=0.3, delay_ms=0.0)
    limit = judge_run(run, Slo(), Gate()).limits[1]
    assert (limit.status, limit.basis, limit.undisturbed) == ("FAIL", "all", None)
    assert limit.calls == run.info.series[0].count


def test_where_nothing_was_left_out_the_bounds_are_those_of_all_calls(tmp_path: Path) -> None:
    run = quiet_run(tmp_path / "run")
    plain = only(judge_run(run, P99, Gate()))
    measured = only(judge_run(stalled(run, share=0.0), P99, Gate()))
    assert (measured.low, measured.high, measured.sentence) == (
        plain.low,
        plain.high,
        plain.sentence,
    )
    assert measured.all_calls == measured.undisturbed
    assert plain.all_calls is None


def test_an_undisturbed_log_with_other_counts_is_refused(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.1)
    cut = {key: intervals[:-3] for key, intervals in known(run.undisturbed).items()}
    with pytest.raises(
        ResultsError, match=r"undisturbed\.hlog holds .* field series\.undisturbed\.count"
    ):
        judge_run(replace(run, undisturbed=cut), P99, Gate())


def test_a_baseline_is_compared_on_undisturbed_calls_only_if_both_have_them(tmp_path: Path) -> None:
    calm = one_series(tmp_path / "base", seed=2)
    run = one_series(tmp_path / "run")
    slo = Slo(p99_ms=None, error_rate=None)

    def verdict(new: Run, old: Run) -> tuple[set[str], str]:
        verdict = judge_run(new, slo, Gate(), Baseline("main", (old,)))
        return {limit.basis for limit in verdict.limits}, verdict.status

    slow = stalled(run, share=0.2, delay_ms=SLOW_MS)
    assert verdict(slow, calm) == ({"all"}, "FAIL")
    bases, status = verdict(slow, stalled(calm, share=0.05, delay_ms=SLOW_MS))
    assert bases == {"undisturbed"}
    assert status != "FAIL"
    crowded = stalled(calm, share=0.6, delay_ms=SLOW_MS)
    assert verdict(slow, crowded)[0] == {"all"}
    assert verdict(with_reasons(stalled(run), LATE), stalled(calm)) == (
        {"undisturbed"},
        "INVALID",
    )


def test_pass_on_either_set_is_wrong_about_as_often_as_one_set_alone() -> None:
    """A limit at the true p99: 5% of PASSes are wrong by level; far below twice that here."""
    runs = 150
    rng = np.random.default_rng(11)
    slo = Slo(p99_ms=TRUE_P99_MS, error_rate=None)
    wrong = sum(
        judge_run(random_run(rng, seconds=30, share=0.3, delay_ms=0.3), slo, Gate()).status
        == "PASS"
        for _ in range(runs)
    )
    # 5% of 150 is 7.5, with a standard deviation of 2.7; twice the level would be 15
    assert wrong <= 12


# --- a limit that this run breaks grossly


GROSS = Path(__file__).parents[1] / "data" / "gross_breach"


def test_a_plainly_broken_promise_fails_although_its_interval_is_wide() -> None:
    verdict = judge_run(read_run(GROSS), Slo(), Gate())
    assert verdict.status == "FAIL"
    (limit,) = [
        limit
        for limit in verdict.limits
        if (limit.backend, limit.pattern, limit.statistic) == ("dynamodb", "cart.add", "p99")
    ]
    assert (limit.status, limit.low) == ("FAIL", 0.0)
    share = limit.in_this_run
    assert known(known(share).low) > 0.1
    assert known(share).estimate == pytest.approx(603 / 845)
    assert limit.needed_calls is None
    assert "71.4% [66.8%, 75.6%] of this run's calls" in limit.sentence
    assert "For other runs its p99, 11.3 s [0, 11.7], is undecided." in limit.sentence
    assert "needed" not in limit.sentence


@given(
    calls=st.integers(20, 5_000),
    share=st.floats(0.0, 0.4),
    limits=st.integers(1, 72),
    percentile=st.sampled_from(["p90", "p99", "p99.9"]),
)
def test_a_gross_breach_is_one_that_chance_in_arrivals_cannot_explain(
    calls: int, share: float, limits: int, percentile: str
) -> None:
    """Oracle: the binomial test of ten times the allowed share."""
    above = round(share * calls)
    limit = Limit(
        backend="dynamodb",
        driver="wire",
        pattern="cart.get",
        metric="response_time",
        kind="absolute",
        percentile=percentile,
        limit=10.0,
    )
    estimate = LimitEstimate(
        limit=limit,
        estimate=11.0,
        low=lambda _: 0.0,
        high=lambda _: 99.0,
        calls=calls,
        calls_needed=lambda _: None,
        beyond=FailureRate(above, calls),
    )
    circumstances = Circumstances(
        alpha=TailProbability(0.05),
        run_alpha=TailProbability(0.05 / limits),
        invalid=False,
        delayed=False,
        random_arrivals=True,
        left_out=None,
    )
    most = 10 * (1 - {"p90": 0.9, "p99": 0.99, "p99.9": 0.999}[percentile])
    p_value = scipy.stats.binom.sf(above - 1, calls, min(1.0, most))
    assume(abs(p_value / (0.05 / limits) - 1) > 1e-6)
    assert bool(broken_in_this_run(estimate, circumstances)) == (p_value < 0.05 / limits)


def test_without_random_arrivals_there_is_no_such_statement_and_no_advice() -> None:
    run = read_run(GROSS)
    load = run.info.config.load.model_copy(update={"arrivals": "constant"})
    config = run.info.config.model_copy(update={"load": load})
    run = replace(run, info=run.info.model_copy(update={"config": config}))
    limit = judge_run(run, Slo(), Gate()).limits[0]
    assert (limit.status, limit.low, limit.in_this_run) == ("INCONCLUSIVE", 0.0, None)
    assert known(limit.high) > known(limit.estimate) > 10
    assert limit.needed_calls is None  # not two more: its lower bound has no width
    assert "are needed" not in limit.sentence


def test_a_late_generator_may_be_the_cause_of_a_gross_breach() -> None:
    limit = judge_run(with_reasons(read_run(GROSS), LATE), Slo(), Gate()).limits[0]
    assert (limit.status, limit.in_this_run) == ("INVALID", None)
    assert "the generator's own delay may be the cause" in limit.sentence


def test_a_freeze_of_the_machine_is_not_a_gross_breach(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.3, delay_ms=SLOW_MS)
    assert judge_run(run, P99, Gate()).status == "PASS"


def test_all_calls_decide_first_where_the_machine_did_no_harm(tmp_path: Path) -> None:
    run = stalled(quiet_run(tmp_path / "run"), share=0.3, delay_ms=0.1)
    limit = only(judge_run(run, P99, Gate()))
    assert (limit.status, limit.basis, limit.calls) == ("PASS", "all", known(limit.all_calls).calls)


def test_a_gap_in_health_csv_rules_out_every_verdict(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", series=[CART_GET], seconds=15, config=ONE_PATTERN)
    assert judge_run(run, Slo(), Gate()).status != "INVALID"
    health = run.path / "health.csv"
    rows = health.read_text().splitlines(keepends=True)
    health.write_text("".join(rows[:8] + rows[9:]))  # a copy that lost a line
    verdict = judge_run(run, Slo(), Gate())
    assert verdict.status == "INVALID"
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["missing seconds"]
