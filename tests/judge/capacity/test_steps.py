"""Steps judged one by one, on a simulated server whose capacity is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.config import BackendLimits, Limits, Slo
from loadtests.errors import ConfigError, ResultsError
from loadtests.judge.capacity.answer import answer_of
from loadtests.judge.capacity.steps import judge_steps
from loadtests.judge.run_samples import RunSamples
from loadtests.judge.stats.samples import value_ms
from loadtests.measure.histogram import Sparse
from loadtests.measure.hlog import Interval
from loadtests.measure.results import JudgedStep, Key, Reason, Run, Validity
from tests.judge.climbs import Server, climb_config, run_of, simulate, starved

SLO = Slo(p99_ms=10.0, error_rate=0.001)
WORST = {"PASS": 0, "INCONCLUSIVE": 1, "FAIL": 2}


def judged(
    server: Server | None = None, first: float = 125.0, last: float = 2_000.0, slo: Slo = SLO
) -> list[JudgedStep]:
    return judge_steps(simulate(climb_config(first, last), server or Server()), slo, 0.95)


def test_a_server_of_known_capacity_is_found_to_end_there() -> None:
    server = Server(hands=4, delay_ms=4.0)  # 1,000/s
    steps = judged(server)
    assert [s.rate_per_s for s in steps] == [125, 250, 500, 1_000, 2_000]
    assert [s.verdict for s in steps] == ["PASS", "PASS", "PASS", "FAIL", "FAIL"]
    assert not steps[-1].sustained
    assert steps[-1].overloaded
    assert steps[-1].achieved_per_s == pytest.approx(server.capacity_per_s, rel=0.01)
    answer = answer_of(steps)
    assert (answer.max_sustained_per_s, answer.min_failed_per_s) == (500, 1_000)
    assert answer.bottleneck == "database"


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 3), st.floats(2.0, 4.0), st.integers(0, 1_000))
def test_wherever_the_capacity_lies_it_is_bracketed(hands: int, delay_ms: float, seed: int) -> None:
    server = Server(hands, delay_ms)
    capacity = server.capacity_per_s
    config = climb_config(capacity / 4, capacity * 2, step_time=6, settle=1)
    steps = judge_steps(simulate(config, server, seed=seed), SLO, 0.95)
    assert steps[-1].verdict == "FAIL"
    assert not steps[-1].sustained
    assert steps[0].verdict != "FAIL"
    answer = answer_of(steps)
    assert answer.max_sustained_per_s is None or answer.max_sustained_per_s <= capacity


def test_too_few_calls_decide_nothing() -> None:
    (step,) = judged(first=10, last=10)
    assert step.verdict == "INCONCLUSIVE"
    assert step.p99_high_ms is None
    assert "do not decide" in step.sentence


def test_a_step_in_which_the_generator_gave_out_is_never_the_databases() -> None:
    steps = judged(Server(starved_from=1_000))
    assert [s.verdict for s in steps][-2:] == ["INVALID", "INVALID"]
    assert "97% of a core" in steps[-1].sentence
    assert not steps[-1].overloaded


def test_a_step_whose_health_nobody_judged_does_not_count() -> None:
    run = simulate(climb_config(250, 250), Server())
    run.info.steps[0] = run.info.steps[0].model_copy(update={"validity": None})
    assert judge_steps(run, SLO, 0.95)[0].verdict == "INVALID"


def test_the_settling_seconds_are_in_no_figure() -> None:
    """A second of calls of 5 s each, at the start of every step."""
    run = simulate(climb_config(250, 500), Server())
    before = judge_steps(run, SLO, 0.95)
    for step in run.info.steps:
        for held in run.intervals.values():
            slow = Sparse.of(np.full(500, 5_000_000_000, np.int64))
            held.append(Interval(step.begin_s, 1.0, slow))
            held.append(Interval(step.measure_from_s - 1, 1.0, slow))
            held.append(Interval(run.info.steps[-1].end_s, 1.0, slow))
    assert judge_steps(run, SLO, 0.95) == before


def test_a_backlog_cannot_hide_behind_the_end_of_a_step() -> None:
    """The database freezes in the last second: what arrived then is not in the step's log."""
    run = simulate(climb_config(1_000, 1_000), Server(hands=20))
    assert judge_steps(run, SLO, 0.95)[0].verdict == "PASS"
    run.info.steps[0] = run.info.steps[0].model_copy(update={"unfinished": 1_000})
    (step,) = judge_steps(run, SLO, 0.95)
    assert step.verdict == "FAIL"
    assert step.p99_ms is None


def stalled(run: Run, share: float, added_ms: float) -> Run:
    """The machine stalled: that share of the calls took longer, and is in no undisturbed log."""
    rng = np.random.default_rng(3)
    all_calls: dict[Key, list[Interval]] = {}
    undisturbed: dict[Key, list[Interval]] = {}
    for key, intervals in run.intervals.items():
        all_calls[key], undisturbed[key] = [], []
        for interval in intervals:
            counts = interval.counts
            times_ns = np.repeat(
                [round(value_ms(int(bucket)) * 1e6) for bucket in counts.index], counts.counts
            )
            delayed = rng.random(times_ns.size) < share
            rest = Sparse.of(times_ns[~delayed])
            delayed_ns = times_ns + np.int64(added_ms * 1e6) * delayed
            all_calls[key].append(replace(interval, counts=Sparse.of(delayed_ns)))
            undisturbed[key].append(replace(interval, counts=rest))
    return replace(run, intervals=all_calls, undisturbed=undisturbed)


def late_dispatches(run: Run) -> Run:
    """The generator itself was late, outside of stalls."""
    reason = Reason(
        rule="late dispatches", found="2% of dispatches were late.", remedy="", rules_out="FAIL"
    )
    late = Validity(valid=False, reasons=[reason])
    steps = [step.model_copy(update={"validity": late}) for step in run.info.steps]
    return replace(run, info=run.info.model_copy(update={"steps": steps}))


def test_a_step_is_judged_on_the_calls_that_no_stall_touched() -> None:
    quick = simulate(climb_config(1_000, 1_000), Server(hands=20))
    (before,) = judge_steps(quick, SLO, 0.95)
    (step,) = judge_steps(stalled(quick, 0.2, 50.0), SLO, 0.95)
    assert (step.verdict, step.basis) == ("PASS", "undisturbed")
    assert step.left_out == pytest.approx(0.2, abs=0.02)
    assert step.p99_ms == pytest.approx(before.p99_ms, rel=0.1)
    assert step.all_calls_p99_ms == pytest.approx(54.0, rel=0.1)
    assert step.calls == before.calls
    assert "on 80% of calls, undisturbed by the machine" in step.sentence
    assert not step.overloaded


def test_stalls_excuse_no_slow_database() -> None:
    slow = simulate(climb_config(1_000, 1_000), Server(hands=40, delay_ms=25.0))
    (step,) = judge_steps(stalled(slow, 0.2, 50.0), SLO, 0.95)
    assert (step.verdict, step.basis) == ("FAIL", "undisturbed")
    assert step.overloaded
    assert "undisturbed calls exceeded" in step.sentence


def test_what_holds_for_all_calls_holds() -> None:
    quick = simulate(climb_config(1_000, 1_000), Server(hands=20))
    (step,) = judge_steps(stalled(quick, 0.2, 1.0), SLO, 0.95)
    assert (step.verdict, step.basis) == ("PASS", "all")
    assert "all calls, disturbed ones included" in step.sentence
    (step,) = judge_steps(stalled(quick, 0.9, 1.0), SLO, 0.95)
    assert (step.verdict, step.basis) == ("PASS", "all")


def test_too_many_disturbed_calls_decide_nothing() -> None:
    for server in (Server(hands=20), Server(hands=40, delay_ms=25.0)):
        run = stalled(simulate(climb_config(1_000, 1_000), server), 0.6, 50.0)
        (step,) = judge_steps(run, SLO, 0.95)
        assert step.verdict == "INCONCLUSIVE"
        assert not step.overloaded
        assert "60% of the calls were disturbed" in step.sentence


def test_stalls_do_not_excuse_a_load_that_was_not_sustained() -> None:
    run = simulate(climb_config(2_000, 2_000), Server())
    (step,) = judge_steps(stalled(run, 0.2, 1.0), SLO, 0.95)
    assert step.verdict == "FAIL"
    assert not step.sustained


def test_a_late_generator_rules_out_a_failure_and_no_pass() -> None:
    quick = simulate(climb_config(1_000, 1_000), Server(hands=20))
    slow = simulate(climb_config(1_000, 1_000), Server(hands=40, delay_ms=25.0))
    assert [
        judge_steps(late_dispatches(run), SLO, 0.95)[0].verdict
        for run in (quick, slow, stalled(quick, 0.2, 50.0), stalled(slow, 0.2, 50.0))
    ] == ["PASS", "INVALID", "PASS", "INVALID"]


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=20, deadline=None)
def test_more_unfinished_calls_never_help(one: int, other: int) -> None:
    found = []
    for count in sorted((one, other)):
        run = simulate(climb_config(1_000, 1_000), Server(hands=20))
        run.info.steps[0] = run.info.steps[0].model_copy(update={"unfinished": count})
        (step,) = judge_steps(run, SLO, 0.95)
        found.append((WORST[step.verdict], step.beyond))
        assert step.beyond == pytest.approx(count / (step.calls + count))
    assert found == sorted(found)


def test_each_access_pattern_has_its_own_limit() -> None:
    strict = Slo(p99_ms=10.0, patterns={"cart.add": Limits(p99_ms=3.0)})
    (step,) = judged(first=500, last=500, slo=strict)  # calls take 4 ms
    assert step.verdict == "FAIL"
    assert step.limit_ms is None
    loose = Slo(p99_ms=3.0, backends={"dynamodb": BackendLimits(p99_ms=10.0)})
    (step,) = judged(first=500, last=500, slo=loose)
    assert (step.verdict, step.limit_ms) == ("PASS", 10.0)


def test_a_rare_pattern_that_breaks_its_limit_alone_breaks_the_step() -> None:
    """Half a percent of the calls, every one of them too slow: the mix as a whole keeps it."""
    run = simulate(climb_config(1_000, 1_000), Server(hands=20))
    key = Key("dynamodb", "wire", "session.create", "response_time")
    slow = Sparse.of(np.full(5, 50_000_000, np.int64))
    intervals = run.intervals | {key: [Interval(float(s), 1.0, slow) for s in range(2, 14)]}
    config = climb_config(1_000, 1_000)
    (step,) = judge_steps(run_of(config, intervals, run.info.steps), SLO, 0.95)
    assert step.beyond < 0.01
    assert step.verdict == "FAIL"
    assert "session.create" in step.sentence


def test_a_stall_that_all_patterns_share_condemns_none_of_them_alone() -> None:
    """One second of five is slow in eight patterns; of the ninth, two calls are in each second."""
    config = climb_config(450, 450, step_time=6, settle=1)

    def calls(slow: int) -> Sparse:
        return Sparse.of(np.repeat([2_000_000, 50_000_000], [50 - slow, slow]))

    intervals = {
        Key("dynamodb", "wire", f"pattern.{n}", "response_time"): [
            Interval(float(s), 1.0, calls(2 if n == 8 else 50 * (s == 5))) for s in range(3, 8)
        ]
        for n in range(9)
    }
    (step,) = simulate(config, Server(hands=20)).info.steps
    (found,) = judge_steps(run_of(config, intervals, [step]), SLO, 0.95)
    assert found.verdict == "INCONCLUSIVE"
    alone = {key: held for key, held in intervals.items() if key.pattern == "pattern.8"}
    low = step.model_copy(update={"rate_per_s": 50.0})
    (found,) = judge_steps(run_of(config, alone, [low]), SLO, 0.95)
    assert found.verdict == "FAIL"  # the same calls where nothing else was slow


def test_errors_break_a_step_and_none_are_needed_to_pass() -> None:
    steps = judged(Server(hands=20, errors={500.0: 200}), first=250, last=500)
    assert [s.verdict for s in steps] == ["PASS", "FAIL"]
    assert "failed" in steps[1].sentence


def test_only_steps_that_have_ended_are_judged() -> None:
    run = simulate(climb_config(250, 1_000), Server())
    cut = replace(run, info=run.info.model_copy(update={"duration_s": run.info.steps[1].end_s}))
    assert [s.rate_per_s for s in judge_steps(cut, SLO, 0.95)] == [250, 500]


def test_two_backends_are_judged_apart() -> None:
    run = simulate(climb_config(250, 500), Server(), ("dynamodb", "postgres"))
    steps = judge_steps(run, SLO, 0.95)
    assert [(s.backend, s.driver, s.rate_per_s) for s in steps] == [
        ("dynamodb", "wire", 250),
        ("dynamodb", "wire", 500),
        ("postgres", "psycopg", 250),
        ("postgres", "psycopg", 500),
    ]
    assert all(one.end_s <= other.begin_s for one, other in pairwise(run.info.steps))


def test_without_a_promised_p99_there_is_nothing_to_keep() -> None:
    with pytest.raises(ConfigError, match="no p99_ms"):
        judged(first=250, last=250, slo=Slo(p99_ms=None))


def test_a_run_without_steps_is_refused() -> None:
    run = simulate(climb_config(250, 250), Server())
    run.info.steps = []
    with pytest.raises(ResultsError, match="not a capacity run"):
        judge_steps(run, SLO, 0.95)


def test_the_generators_reason_is_passed_on() -> None:
    assert "97%" in starved().reasons[0].found


def test_a_climb_as_a_whole_is_not_judged_or_compared() -> None:
    with pytest.raises(ResultsError, match="would mix its rates"):
        RunSamples(simulate(climb_config(250, 250), Server()))
