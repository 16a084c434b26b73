from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.config import Slo
from loadtests.judge.storing import store_verdict
from loadtests.measure.health.signals import Signal
from loadtests.measure.results import (
    HealthInfo,
    RehearsalInfo,
    Run,
    SubjectInfo,
    TargetInfo,
    Verdict,
)
from loadtests.report.figures.ratios import NOT_STORED
from loadtests.report.figures.validity import signal_rows
from loadtests.report.figures.verdict_view import NOT_JUDGED, view_verdict
from loadtests.report.opening import facts_of, notes_of, what_to_do
from loadtests.report.page import build_page
from loadtests.report.sections import sections_of
from loadtests.report.setting import flat, without_passwords
from tests.known import known
from tests.report.compared_runs import growth, judged_by
from tests.report.conftest import HOSTILE, judge
from tests.run_folders import MadeSeries, write_run


def with_info(run: Run, **changes: object) -> Run:
    return replace(run, info=run.info.model_copy(update=changes))


def test_a_row_shows_what_the_judge_decided(failed: Run) -> None:
    page = build_page(failed)
    postgres = page.subjects[1]
    row = known(page.row("cart.add", postgres))
    limits = {x.statistic: x for x in row.limits}
    assert row.status == "FAIL"
    assert row.p99.over
    assert row.targets == ("p99 ≤ 10 ms",)
    assert known(row.p99.value.value) == pytest.approx(limits["p99"].estimate, rel=0.002)
    assert known(row.p99.low_ms) <= known(row.p99.value.value) <= known(row.p99.high_ms)
    assert "CallTimeout" in row.errors_said
    assert known(page.row("cart.get", postgres)).status == "PASS"
    assert page.judged.status == "FAIL"


def test_the_top_names_the_slowest_p99_and_the_errors(failed: Run) -> None:
    facts = {fact.name: fact for fact in facts_of(build_page(failed))}
    assert facts["Slowest p99"].context == "cart.add on PostgreSQL; target 10 ms"
    assert facts["Slowest p99"].tone == "fail"
    assert facts["Errors"].value != "0"
    assert facts["Load generator"].value == "healthy"


def test_what_it_ran_on_is_said_in_words(passed: Run) -> None:
    setting = build_page(passed).setting
    assert setting.ran_on == (
        "Ran on DynamoDB Local 1.25.1 and PostgreSQL 18.0, started by this harness on the same "
        "machine."
    )
    assert "An emulator is not AWS" in setting.caution
    assert "900 Poisson arrivals/s" in setting.load
    assert "Before it" not in setting.load
    rehearsal = RehearsalInfo(calls={"dynamodb": 20_000, "postgres": 2_000}, seconds=7.0)
    assert build_page(with_info(passed, rehearsal=rehearsal)).setting.load.endswith(
        ". Before it, 20,000 calls on DynamoDB and 2,000 calls on PostgreSQL at full speed in 7 s,"
        " in no figure."
    )


def test_subjects_in_trees_of_their_own_are_named_with_their_commits(passed: Run) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    subjects = [
        SubjectInfo(
            name="base", backend="dynamodb", client="shop:make", tree="../base", commit=commit,
            modified=True, python="3.11.2", packages={"boto3": "1.40.1", "botocore": "1.40.2"},
        ),
        SubjectInfo(name="head", backend="dynamodb", client="shop:make", tree="/new"),
        SubjectInfo(name="plain", backend="dynamodb", client="wire"),
    ]  # fmt: skip
    run = with_info(passed, subjects=subjects)
    setting = build_page(run).setting
    assert "base is ../base at 0123456789ab, modified; head is /new." in setting.load
    assert setting.subjects == (
        (
            *("dynamodb/base", "shop:make", "../base", "0123456789ab, modified", "3.11.2"),
            "boto3 1.40.1, botocore 1.40.2",
        ),
        ("dynamodb/head", "shop:make", "/new", "–", "–", "–"),
        ("dynamodb/plain", "wire", "–", "–", "–", "–"),
    )
    titles = [part.title for section in sections_of(build_page(run)) for part in section.parts]
    assert titles.count("Subjects") == 1
    assert build_page(passed).setting.subjects == ()


def test_an_undecided_comparison_of_subjects_needs_a_longer_run(failed: Run) -> None:
    """It said that more calls would not decide."""
    verdict = known(failed.info.verdict)
    limit = verdict.limits[0].model_copy(update={"kind": "relative", "status": "INCONCLUSIVE"})
    verdict = verdict.model_copy(
        update={"status": "INCONCLUSIVE", "limits": (limit,), "needed_s": None}
    )
    undecided = with_info(failed, verdict=verdict)
    assert "more calls will not decide" in what_to_do(build_page(undecided))
    load = undecided.info.config.load.model_copy(update={"subjects": "base=wire head=wire"})
    config = undecided.info.config.model_copy(update={"load": load})
    assert what_to_do(build_page(with_info(undecided, config=config))) == (
        "What to do: measure longer (--run-time), or on a less busy machine."
    )


def test_aws_needs_no_caution(passed: Run) -> None:
    label = "DynamoDB on AWS (us-east-1)"
    targets = {"dynamodb": TargetInfo(label=label, where="aws", url="aws", region="us-east-1")}
    setting = build_page(with_info(passed, targets=targets)).setting
    assert setting.caution == ""
    assert setting.ran_on == "Ran on DynamoDB on AWS (us-east-1)."


def test_the_run_time_told_to_locust_replaces_the_files(passed: Run) -> None:
    config = passed.info.config
    plain = with_info(passed, config=config.model_copy(update={"run_time_s": None}))
    assert "load.run_time" in dict(build_page(plain).setting.configuration)
    told = with_info(passed, config=config.model_copy(update={"run_time_s": 610.0}))
    shown = dict(build_page(told).setting.configuration)
    assert shown["run_time_s"] == "610"
    assert "load.run_time" not in shown
    assert "load.rate" in shown


def test_the_headline_compares_the_backends(passed: Run) -> None:
    page = build_page(passed)
    assert " as long as PostgreSQL at p50 and " in page.versus.sentence
    assert [len(group.ratios) for group in page.versus.groups] == [9, 9]


def test_a_comparison_that_is_not_stored_is_not_made_up(passed: Run) -> None:
    versus = build_page(with_info(passed, head_to_head=None)).versus
    assert (versus.sentence, versus.groups) == (NOT_STORED, ())
    series = [one for one in passed.info.series if one.backend == "dynamodb"]
    alone = with_info(passed, head_to_head=None, series=series)
    assert build_page(alone).versus.sentence == ""


def test_an_unjudged_run_says_so(passed: Run) -> None:
    page = build_page(with_info(passed, verdict=None))
    assert page.judged.status == NOT_JUDGED
    assert {row.status for row in page.rows} == {NOT_JUDGED}
    assert any("No verdict" in note for note in notes_of(page))


def test_an_invalid_run_passes_nothing_and_compares_nothing(passed: Run, tmp_path: Path) -> None:
    invalid = known(passed.info.verdict).model_copy(update={"status": "INVALID"})
    run = store_verdict(replace(passed, path=tmp_path), invalid)
    page = build_page(run)
    assert view_verdict(run).status_of(page.subjects[0], "cart.get") == "INVALID"
    assert page.versus.sentence == ""
    assert page.versus.groups == ()


def a_verdict(**changes: object) -> Verdict:
    return Verdict.model_validate(
        {"status": "FAIL", "sentence": "", "confidence": 0.95, "level": 0.05} | changes
    )


def test_the_headline_is_one_sentence(passed: Run) -> None:
    long = "FAIL: 3 of 36 limits broken: " + "dynamodb cart.get p99 is 12 ms. " * 9
    judged = view_verdict(with_info(passed, verdict=a_verdict(sentence=long)))
    assert judged.sentence == "3 of 36 limits broken."
    assert judged.details.startswith("dynamodb cart.get")


def test_no_password_is_shown(hostile: Run) -> None:
    page = build_page(hostile)
    assert "hunter2" not in repr(page.setting)
    assert without_passwords("postgresql://u:pa:ss@h/d") == "postgresql://u:•••@h/d"
    assert without_passwords("host=h password='a b' user=u") == "host=h password=••• user=u"
    assert dict(flat({"a": {"secret_key": "x", "b": True}})) == {
        "a.secret_key": "(not shown)",
        "a.b": "yes",
    }


def test_every_text_from_outside_is_one_clean_line(hostile: Run) -> None:
    page = build_page(hostile)
    texts = [page.setting.title, page.rows[0].pattern, page.rows[0].errors_said]
    assert not any("\n" in text or "\x00" in text or "\u202e" in text for text in texts)
    assert HOSTILE not in repr(page.rows)


def test_signals_with_limits_come_first_and_the_broken_one_before_all(passed: Run) -> None:
    signals = [
        Signal("steal", "", 0.02, "share", 0.05, ok=True),
        Signal("CPU", "", 50.0, "% of a core", 85.0, ok=True),
        Signal("loop_lag", "Lag!", 31.5, "ms", 1, ok=False),
        Signal("GC pause", "", 3.0, "ms", None, ok=True),
        Signal("odd", "", float("inf"), "", None, ok=True),
    ]
    rows = signal_rows(with_info(passed, health=HealthInfo(signals=signals)))
    assert [(row.name, row.value, row.limit, row.ok) for row in rows] == [
        ("loop lag", "31.5 ms", "≤ 1 ms", False),
        ("steal", "2.00%", "≤ 5%", True),
        ("CPU", "50.0% of a core", "≤ 85% of a core", True),
        ("GC pause", "3.00 ms", "", None),
        ("odd", "not measured", "", None),
    ]


def test_a_run_judged_by_service_time_is_reported_as_service_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", series=[MadeSeries(rate_per_s=100.0)], seconds=20)
    judged = judge(run.path, Slo(metric="service_time", p99_ms=20.0))
    page = build_page(judged)
    assert page.metric_words == "service time"
    (row,) = page.rows
    assert row.p99.value.value == known(judged.info.series[0].service_time_ms).p99
    assert row.p99.span
    assert row.p99.target.value == page.line_ms == 20.0


def test_a_comparison_of_two_subjects_has_its_own_headline_and_a_reference(compared: Run) -> None:
    limits = [growth("cart.get", "p50", 1.4, status="FAIL")]
    page = build_page(judged_by(compared, limits))
    assert (page.judged.status, page.judged.sentence) == ("FAIL", "Slower: cart.get p50 +40%.")
    assert page.judged.details == "Access patterns: 1 slower."
    assert {row.subject.driver: row.status for row in page.rows} == {
        "base": "REFERENCE",
        "head": "FAIL",
    }
    held = limits[0].model_copy(update={"kind": "absolute", "limit": 10.0, "status": "FAIL"})
    judged_too = build_page(judged_by(compared, [*limits, held]))
    assert judged_too.judged.sentence == "The verdict."
    (section,) = (s for s in sections_of(judged_too) if s.anchor == "baseline")
    assert section.title == "Change from base to head"
    assert section.paragraphs == ("Slower: cart.get p50 +40%.", "Access patterns: 1 slower.")
