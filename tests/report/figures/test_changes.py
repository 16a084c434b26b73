"""The summary of a comparison of two subjects in words, and the order of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadtests.measure.results import LimitVerdict, Run, SubjectInfo
from loadtests.patterns import ALL_PATTERNS
from loadtests.report.figures.changes import ChangesView
from loadtests.report.formats.comment import render_comment
from loadtests.report.page import build_page
from tests.known import known
from tests.report.compared_runs import growth, judged_by


def view(run: Run, limits: Sequence[LimitVerdict]) -> ChangesView:
    return known(build_page(judged_by(run, limits)).changes)


def test_nothing_is_slower_by_more_than_the_largest_upper_bound(compared: Run) -> None:
    changes = view(
        compared,
        [
            growth("cart.get", "p50", 1.01, high=1.031),
            growth("cart.get", "p99", 1.02, high=1.14),
            growth("cart.add", "p50", 0.88, high=0.90, direction="faster"),
            growth("cart.add", "p99", 0.97, high=1.05),
        ],
    )
    assert (changes.subject, changes.reference, changes.backends) == ("head", "base", "DynamoDB")
    assert changes.status == "PASS"
    assert changes.sentence == (
        "No access pattern is slower by more than 4% at p50 or 14% at p99; "
        "faster: cart.add p50 −12%"
    )
    assert changes.notes == ()


@pytest.mark.parametrize(
    ("high", "said"),
    [
        (1.004, "by more than 0.4% at p50"),
        (1.00401, "by more than 0.5% at p50"),
        (1.0301, "by more than 4% at p50"),
        (1.12, "by more than 10% at p50"),  # within its limit, which is a bound too
        (None, "by more than 10% at p50"),
        (0.99, "Every access pattern is faster at p50"),
    ],
)
def test_a_bound_is_rounded_up_and_at_most_its_limit(
    compared: Run, high: float | None, said: str
) -> None:
    assert view(compared, [growth("cart.get", "p50", 0.98, high=high)]).sentence.endswith(said)


def test_what_is_slower_is_named_and_the_others_are_counted(compared: Run) -> None:
    changes = view(
        compared,
        [
            growth("cart.get", "p50", 1.01, high=1.03),
            growth("cart.add", "p50", 1.12, status="FAIL", direction="slower"),
            growth("cart.add", "p99", 1.31, status="FAIL", direction="slower"),
            growth("cart.update", "p99", 1.1, status="INCONCLUSIVE"),
            growth("cart.remove", "p50", 0.8, direction="faster"),
        ],
    )
    assert changes.status == "FAIL"
    assert changes.sentence == "Slower: cart.add p50 +12%, p99 +31%"
    assert changes.notes == (
        "Access patterns: 1 slower, 1 undecided, 2 within the limits.",
        "Undecided, with intervals too wide: cart.update p99 +10%.",
        "Faster: cart.remove p50 −20%.",
    )
    assert [row.label for row in changes.rows] == [
        *("cart.add", "cart.update", "cart.remove", "cart.get")
    ]


def test_an_undecided_comparison_still_bounds_every_pattern(compared: Run) -> None:
    changes = view(
        compared,
        [
            growth("cart.get", "p99", 1.02, high=1.1),
            growth("cart.add", "p99", 0.97, high=1.28, status="INCONCLUSIVE"),
        ],
    )
    assert changes.sentence == "Undecided: cart.add p99 −3.0%"
    assert changes.notes == (
        "Nothing is shown to be slower. No access pattern is slower by more than 28% at p99.",
    )


def test_an_open_bound_is_not_left_out(compared: Run) -> None:
    changes = view(
        compared,
        [
            growth("cart.get", "p50", 0.9, high=0.95),
            growth("cart.get", "p99", 1.02, low=None, high=None, status="INCONCLUSIVE"),
        ],
    )
    (note,) = changes.notes
    assert note.endswith(
        "Every access pattern is faster at p50; p99: too few calls for an upper bound."
    )


def test_where_all_patterns_together_decide_the_sentence_is_about_them(compared: Run) -> None:
    limits = [
        growth(ALL_PATTERNS, "p99", 1.01, high=1.06),
        growth("cart.get", "p99", 1.02, high=1.1),
        growth("cart.add", "p99", 0.97, high=1.28, status="INCONCLUSIVE"),
    ]
    changes = view(compared, limits)
    assert changes.status == "PASS"
    assert changes.sentence == "All patterns together are not slower by more than 6% at p99"
    assert changes.notes == ("Undecided, with intervals too wide: cart.add p99 −3.0%.",)
    assert [row.label for row in changes.rows] == [ALL_PATTERNS, "cart.add", "cart.get"]
    undecided = [growth(ALL_PATTERNS, "p99", 1.1, status="INCONCLUSIVE"), *limits[1:]]
    assert view(compared, undecided).status == "INCONCLUSIVE"


def test_a_significant_slowdown_within_its_limit_is_named(compared: Run) -> None:
    changes = view(compared, [growth("cart.get", "p50", 1.04, high=1.05, direction="slower")])
    assert changes.sentence == "No access pattern is slower by more than 5% at p50"
    assert changes.notes == ("Significantly slower, and within the limits: cart.get p50 +4.0%.",)


def test_at_most_three_patterns_are_named(compared: Run) -> None:
    names = [f"cart.p{number}" for number in range(5)]
    limits = [growth(name, "p50", 1.3, status="FAIL") for name in names]
    sentence = "Slower: cart.p0 p50 +30%; cart.p1 p50 +30%; cart.p2 p50 +30%; and 2 more"
    assert view(compared, limits).sentence == sentence


def test_patterns_of_two_backends_are_told_apart(compared: Run) -> None:
    limits = [
        growth("cart.get", "p50", 1.01),
        growth("cart.get", "p50", 1.01).model_copy(update={"backend": "postgres"}),
    ]
    series = [*compared.info.series]
    series += [each.model_copy(update={"backend": "postgres"}) for each in series]
    changes = known(build_page(judged_by(compared, limits, series=series)).changes)
    assert [row.label for row in changes.rows] == ["cart.get (DynamoDB)", "cart.get (PostgreSQL)"]
    assert (changes.subject, changes.reference) == ("head", "base")


def test_impossible_ratios_are_left_out(compared: Run) -> None:
    limits = [growth("cart.get", "p50", 1.01), growth("cart.add", "p50", 0.0)]
    assert [row.label for row in view(compared, limits).rows] == ["cart.get"]


def test_a_run_against_a_baseline_is_no_comparison_of_subjects(passed: Run, compared: Run) -> None:
    for run in (
        passed,
        judged_by(compared, [growth("cart.get", "p50", 1.0)], baseline=("another run",)),
        judged_by(compared, []),
    ):
        assert build_page(run).changes is None


def test_different_versions_of_named_subjects_are_stated(compared: Run) -> None:
    subjects = [
        SubjectInfo(
            name=name, backend="dynamodb", client="boto3", python="3.11.7", packages=packages
        )
        for name, packages in (
            ("base", {"boto3": "1.40.0", "orjson": "3.13.0"}),
            ("head", {"boto3": "1.44.1", "orjson": "3.13.0", "httptools": "0.9.0"}),
        )
    ]
    run = judged_by(compared, [growth("cart.get", "p50", 1.0)])
    info = run.info.model_copy(update={"subjects": subjects})
    changes = known(build_page(replace(run, info=info)).changes)
    assert changes.versions == "boto3 1.40.0 → 1.44.1, httptools – → 0.9.0"
    comment = known(render_comment(build_page(replace(run, info=info))))
    assert "in one run. boto3 1.40.0 → 1.44.1, httptools – → 0.9.0." in comment
    assert known(build_page(run).changes).versions == ""
