"""What a whole climb says, from steps as judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.config import Slo
from loadtests.judge.capacity.answer import (
    answer_of,
    knee_of,
    rate,
    should_stop,
    store_capacity_run,
    verdict_of,
)
from loadtests.measure.results import (
    CapacityRun,
    JudgedStep,
    Validity,
    read_info,
    write_info,
)
from tests.judge.climbs import Server, climb_config, simulate, starved
from tests.known import known

STEP = JudgedStep(
    backend="dynamodb",
    driver="wire",
    rate_per_s=100.0,
    achieved_per_s=100.0,
    seconds=10,
    calls=1_000,
    limit_ms=10.0,
    p50_ms=1.0,
    p99_ms=4.0,
    p99_low_ms=3.5,
    p99_high_ms=5.0,
    beyond=0.0,
    queued=0.0,
    unfinished=0,
    errors=0,
    generator_cpu=0.2,
    sustained=True,
    overloaded=False,
    verdict="PASS",
    sentence="p99 4.00 ms.",
)
VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")


def climb(*verdicts: str) -> list[JudgedStep]:
    """Steps at 100, 200, 300 …/s; a lower-case fail is one that is not bad."""
    return [
        STEP.model_copy(
            update={
                "rate_per_s": 100.0 * n,
                "achieved_per_s": 100.0 * n,
                "verdict": verdict.upper(),
                "overloaded": verdict == "FAIL",
                "sentence": f"{verdict} at {n}.",
            }
        )
        for n, verdict in enumerate(verdicts, 1)
    ]


climbs = st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=9).map(lambda v: climb(*v))


@given(climbs)
def test_the_highest_step_that_keeps_the_promise_is_the_answer(steps: list[JudgedStep]) -> None:
    """The slow way: look at every rate from the top."""
    answer = answer_of(steps)
    kept = [s.rate_per_s for s in steps if s.verdict == "PASS"]
    assert answer.max_sustained_per_s == max(kept, default=None)
    assert answer.status == ("PASS" if kept else steps[0].verdict)
    above = [s for s in steps if s.rate_per_s > max(kept, default=0)]
    broken = [s.rate_per_s for s in above if s.verdict == "FAIL"]
    assert answer.min_failed_per_s == min(broken, default=None)
    decided = [s.verdict for s in above if s.verdict != "INCONCLUSIVE"]
    expected = "undecided" if above else "nothing"
    if decided:
        expected = {"FAIL": "database", "INVALID": "generator"}[decided[0]]
    assert answer.bottleneck == expected


@given(climbs)
def test_a_step_that_the_generator_spoilt_is_no_capacity_of_the_database(
    steps: list[JudgedStep],
) -> None:
    answer, spoilt = answer_of(steps), {s.rate_per_s for s in steps if s.verdict == "INVALID"}
    assert not spoilt & {answer.max_sustained_per_s, answer.min_failed_per_s, answer.knee_per_s}


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (
            "PASS PASS FAIL FAIL",
            "DynamoDB meets the limits up to 200/s. At 300/s the database failed: p99 4.00 ms.",
        ),
        (
            "PASS INVALID INVALID",
            "up to 100/s. At 200/s the load generator was the bottleneck, so the capacity of"
            " DynamoDB is unknown: INVALID at 2.",
        ),
        ("PASS PASS", "up to 200/s, the highest rate tested."),
        ("PASS INCONCLUSIVE", "up to 100/s; the steps above that were too short to decide."),
        (
            "INCONCLUSIVE",
            "DynamoDB is not shown to meet the limits at any rate; the steps were too short to"
            " decide.",
        ),
        ("PASS FAIL PASS", "up to 300/s, but not at 200/s, the highest rate tested"),
        (
            "FAIL FAIL",
            "DynamoDB is not shown to meet the limits at any rate. At 100/s the database failed",
        ),
    ],
)
def test_the_answer_in_words(verdicts: str, text: str) -> None:
    assert text in answer_of(climb(*verdicts.split())).sentence


@pytest.mark.parametrize(
    ("verdicts", "over"),
    [
        ("FAIL FAIL", True),
        ("PASS FAIL INVALID", True),
        ("INVALID INVALID", True),
        ("FAIL PASS FAIL", False),
        ("FAIL fail", False),  # broken, not badly
        ("FAIL", False),
        ("PASS PASS", False),
        ("", False),
    ],
)
def test_two_bad_steps_in_a_row_end_the_climb(verdicts: str, over: bool) -> None:
    assert should_stop(climb(*verdicts.split())) == over


def test_the_knee_has_the_highest_power() -> None:
    p99s = (2.0, 2.1, 2.4, 4.0, 40.0)
    steps = [
        s.model_copy(update={"p99_ms": p99})
        for s, p99 in zip(climb(*["PASS"] * 5), p99s, strict=True)
    ]
    powers = {s.rate_per_s: s.achieved_per_s / known(s.p99_ms) for s in steps}
    assert known(knee_of(steps)).rate_per_s == max(powers, key=powers.__getitem__) == 300


def test_a_knee_that_was_not_passed_is_not_in_sight() -> None:
    assert knee_of(climb("PASS", "PASS", "PASS")) is None
    assert knee_of(climb("INVALID", "INVALID")) is None
    assert knee_of(climb("PASS", "PASS", "INVALID")) is None


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ("PASS FAIL", 0),
        ("INVALID PASS", 0),
        ("FAIL FAIL", 1),
        ("INCONCLUSIVE FAIL", 3),
        ("INVALID FAIL", 4),
    ],
)
def test_exit_codes(verdicts: str, code: int) -> None:
    run = simulate(climb_config(250, 250), Server())
    assert verdict_of(run, [answer_of(climb(*verdicts.split()))], 0.95).exit_code == code


def test_an_invalid_run_is_invalid_whatever_its_steps() -> None:
    run = simulate(climb_config(250, 250), Server())
    run.info.validity = starved("worker 1 stopped reporting.")
    verdict = verdict_of(run, [answer_of(climb("PASS"))], 0.95)
    assert (verdict.status, verdict.exit_code) == ("INVALID", 4)
    assert "stopped reporting" in verdict.sentence


def test_a_run_that_ended_before_its_first_step_is_invalid() -> None:
    run = simulate(climb_config(250, 250), Server())
    assert verdict_of(run, [], 0.95).status == "INVALID"


def test_the_answer_is_stored_with_those_of_other_runs(tmp_path: Path) -> None:
    run = replace(simulate(climb_config(250, 2_000), Server()), path=tmp_path)
    write_info(tmp_path, run.info)
    other = CapacityRun(
        confidence=0.95,
        steps=(STEP.model_copy(update={"backend": "postgres", "run": "x"}),),
        answers=(answer_of(climb("PASS")).model_copy(update={"backend": "postgres"}),),
    )
    stored, verdict = store_capacity_run(run, Slo(), 0.95, [other])
    told = read_info(tmp_path).capacity_run
    assert [s.backend for s in known(told).steps] == ["dynamodb"] * 4 + ["postgres"]
    assert [s.verdict for s in known(told).steps[:4]] == ["PASS", "PASS", "FAIL", "FAIL"]
    assert known(told).answers[0].max_sustained_per_s == 500
    assert stored.info.verdict == read_info(tmp_path).verdict == verdict
    again, _ = store_capacity_run(
        stored, Slo(), 0.95
    )  # judged again, it keeps what it shows of others
    assert again.info == stored.info
    assert stored.info.validity == Validity(valid=True)


@pytest.mark.parametrize(
    ("per_s", "text"), [(1562.5, "1,560/s"), (100, "100/s"), (12.5, "12.5/s"), (2.44, "2.4/s")]
)
def test_rates_in_words(per_s: float, text: str) -> None:
    assert rate(per_s) == text
