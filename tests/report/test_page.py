from __future__ import annotations

from dataclasses import replace

import pytest

from loadtests.report.opening import facts_of, notes_of
from loadtests.report.page import build_page
from loadtests.report.setting import flat, without_passwords
from loadtests.report.validity import signals_of
from loadtests.report.verdict_view import NOT_JUDGED, read_judged
from tests.report.conftest import HOSTILE


def with_info(run, **changes):
    return replace(run, info=run.info.model_copy(update=changes))


def test_a_row_shows_what_the_judge_decided(failed):
    page = build_page(failed)
    postgres = page.subjects[1]
    row = page.row("cart.add", postgres)
    limits = {x.statistic: x for x in row.limits}
    assert row.status == "FAIL"
    assert row.p99.over
    assert row.targets == ("p99 ≤ 10 ms",)
    assert row.p99.value.value == pytest.approx(limits["p99"].estimate, rel=0.002)
    assert row.p99.low_ms <= row.p99.value.value <= row.p99.high_ms
    assert "CallTimeout" in row.errors_said
    assert page.row("cart.get", postgres).status == "PASS"
    assert page.judged.status == "FAIL"


def test_the_top_names_the_slowest_p99_and_the_errors(failed):
    facts = {fact.name: fact for fact in facts_of(build_page(failed))}
    assert facts["Slowest p99"].context == "cart.add on PostgreSQL; target 10 ms"
    assert facts["Slowest p99"].tone == "fail"
    assert facts["Errors"].value != "0"
    assert facts["Load generator"].value == "healthy"


def test_what_it_ran_on_is_said_in_words(passed):
    setting = build_page(passed).setting
    assert setting.ran_on == (
        "Ran on DynamoDB Local 1.25.1 and PostgreSQL 18.0, started by this harness on the same "
        "machine."
    )
    assert "An emulator is not AWS" in setting.caution
    assert "900 Poisson arrivals/s" in setting.load


def test_aws_needs_no_caution(passed):
    targets = {"dynamodb": {"target": "aws", "label": "DynamoDB us-east-1"}}
    setting = build_page(with_info(passed, targets=targets)).setting
    assert setting.caution == ""
    assert setting.ran_on == "Ran on DynamoDB us-east-1, on AWS."


def test_the_run_time_told_to_locust_replaces_the_files(passed):
    told = with_info(passed, config={**passed.info.config, "run_time_s": 610})
    assert "load.run_time" in dict(build_page(passed).setting.configuration)
    shown = dict(build_page(told).setting.configuration)
    assert shown["run_time_s"] == "610"
    assert "load.run_time" not in shown
    assert "load.rate" in shown


def test_the_headline_compares_the_backends(passed):
    page = build_page(passed)
    assert " as long as PostgreSQL at p50 and " in page.versus.sentence
    assert [len(group.ratios) for group in page.versus.groups] == [9, 9]
    one = with_info(passed, series=[s for s in passed.info.series if s.backend == "dynamodb"])
    assert build_page(one).versus.sentence == ""


def test_an_unjudged_run_says_so(passed):
    page = build_page(with_info(passed, verdict=None))
    assert page.judged.status == NOT_JUDGED
    assert {row.status for row in page.rows} == {NOT_JUDGED}
    assert any("No verdict" in note for note in notes_of(page))


@pytest.mark.parametrize(
    "verdict",
    [
        {},
        {"status": "MAYBE", "sentence": 7, "limits": "none", "estimates": {}},
        {"status": [], "limits": [None, {}, {"limit": "10", "estimate": float("nan")}]},
        {"status": "FAIL", "limits": [{"statistic": None, "unit": 3}], "baseline": {"runs": 3}},
    ],
)
def test_a_damaged_verdict_is_read_as_far_as_it_goes(passed, verdict):
    page = build_page(with_info(passed, verdict=verdict))
    assert page.judged.status in {NOT_JUDGED, "FAIL"}
    assert {row.status for row in page.rows} == {NOT_JUDGED}


def test_an_invalid_run_passes_nothing(passed):
    judged = read_judged(with_info(passed, verdict={**passed.info.verdict, "status": "INVALID"}))
    page = build_page(passed)
    assert judged.status_of(page.subjects[0], "cart.get") == "INVALID"


def test_an_invalid_run_compares_nothing(passed):
    page = build_page(with_info(passed, verdict={"status": "INVALID", "sentence": "Late."}))
    assert page.versus.sentence == ""
    assert page.versus.groups == ()


def test_the_headline_is_one_sentence(passed):
    long = "FAIL: 3 of 36 limits broken: " + "dynamodb cart.get p99 is 12 ms. " * 9
    judged = read_judged(with_info(passed, verdict={"status": "FAIL", "sentence": long}))
    assert judged.sentence == "3 of 36 limits broken."
    assert judged.details.startswith("dynamodb cart.get")


def test_no_password_is_shown(hostile):
    page = build_page(hostile)
    assert "hunter2" not in repr(page.setting)
    assert without_passwords("postgresql://u:pa:ss@h/d") == "postgresql://u:•••@h/d"
    assert without_passwords("host=h password='a b' user=u") == "host=h password=••• user=u"
    assert dict(flat({"a": {"secret_key": "x", "b": True}})) == {
        "a.secret_key": "(not shown)",
        "a.b": "yes",
    }


def test_every_text_from_outside_is_one_clean_line(hostile):
    page = build_page(hostile)
    texts = [page.setting.title, page.rows[0].pattern, page.rows[0].errors_said]
    assert not any("\n" in text or "\x00" in text or "\u202e" in text for text in texts)
    assert HOSTILE not in repr(page.rows)


def test_signals_with_limits_come_first_and_the_broken_one_before_all(passed):
    health = {
        "late_p99_ms": 0.8,
        "signals": [
            {"name": "CPU", "value": 50.0, "unit": "% of a core", "limit": 85.0, "ok": True},
            {
                "name": "loop_lag",
                "text": "Lag!",
                "value": 31.5,
                "unit": "ms",
                "limit": 1,
                "ok": False,
            },
            {"name": "GC pause", "value": 3.0, "unit": "ms", "limit": None, "ok": True},
        ],
        "steal": {"value": 0.02, "unit": "share", "limit": 0.05, "ok": True},
        "nested": {"no": "value"},
        "odd": float("inf"),
    }
    found = [(s.name, s.value, s.limit, s.ok) for s in signals_of(with_info(passed, health=health))]
    assert found == [
        ("loop lag", "31.5 ms", "≤ 1 ms", False),
        ("CPU", "50.0% of a core", "≤ 85% of a core", True),
        ("steal", "2.00%", "≤ 5%", True),
        ("GC pause", "3.00 ms", "", None),
        ("late p99 ms", "0.800", "", None),
        ("odd", "not measured", "", None),
    ]
