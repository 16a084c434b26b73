from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import ComparedSubject, Comparison, compare_runs
from loadtests.judge.interleaved import compare_backends, compare_interleaved, subjects_of
from loadtests.measure.results import PercentileRatio, Run
from loadtests.patterns import ALL_PATTERNS
from tests.judge.stalled import stalled
from tests.known import known
from tests.run_folders import MadeSeries, made_series, write_run

STEADY: dict[str, Any] = {"drift": 0.02, "rate_per_s": 200.0, "tail_share": 0.0}
PATTERNS = ["cart.get", "cart.add", "session.get"]
ALLOWED = Relative()


def steady(
    path: Path,
    *,
    seed: int,
    slower: int | None = None,
    by: float = 1.0,
    **settings: Any,
) -> Run:
    series = made_series(PATTERNS, **STEADY)
    if slower is not None:
        series[slower] = replace(series[slower], median_ms=series[slower].median_ms * by)
    return write_run(path, series=series, seconds=40, seed=seed, **settings)


def width(row: PercentileRatio) -> float:
    """The upper bound over the lower bound."""
    return known(row.high) / known(row.low)


def test_the_same_twice_is_within_what_is_allowed(tmp_path: Path) -> None:
    a, b = steady(tmp_path / "a", seed=1), steady(tmp_path / "b", seed=2)
    found = compare_runs([a], [b], ALLOWED, 0.95)
    assert (found.status, found.exit_code) == ("PASS", 0)
    wholes = [row for row in found.rows if row.pattern == ALL_PATTERNS]
    assert [(row.percentile, row.outcome) for row in wholes] == [
        ("p50", "WITHIN"),
        ("p99", "WITHIN"),
    ] * 2
    assert len(found.rows) == 3 * 2 * 4 + len(wholes)
    for row in found.rows:
        if row.percentile == "p50":
            assert known(row.low) < 1 < known(row.high)
            assert row.outcome == "WITHIN"
        if row.percentile in {"p90", "p99.9"}:
            assert row.outcome == ""


def test_what_got_slower_is_found_and_named(tmp_path: Path) -> None:
    a = steady(tmp_path / "a", seed=1)
    b = steady(tmp_path / "b", seed=2, slower=1, by=1.15)
    found = compare_runs([a], [b], ALLOWED, 0.95)
    assert (found.status, found.exit_code) == ("FAIL", 1)
    slower = [row for row in found.rows if row.outcome == "SLOWER"]
    assert {(row.subject, row.pattern) for row in slower} == {("dynamodb/wire", "cart.add")}
    assert slower[0].ratio == pytest.approx(1.15, abs=0.05)
    assert known(slower[0].low) <= slower[0].ratio <= known(slower[0].high)


def test_certainly_slower_but_within_what_is_allowed_passes(tmp_path: Path) -> None:
    a = steady(tmp_path / "a", seed=1)
    b = steady(tmp_path / "b", seed=2, slower=0, by=1.05)
    found = compare_runs([a], [b], Relative(p50=0.3, p99=0.5), 0.95)
    row = next(row for row in found.rows if row.pattern == "cart.get")
    assert (row.percentile, row.outcome) == ("p50", "WITHIN")
    assert known(row.low) > 1
    assert found.status == "PASS"


def row(pattern: str, outcome: Literal["WITHIN", "SLOWER", "UNDECIDED", ""]) -> PercentileRatio:
    return PercentileRatio(
        subject="x",
        reference="x",
        pattern=pattern,
        metric="response_time",
        percentile="p99",
        subject_ms=1,
        reference_ms=1,
        ratio=1.0,
        low=0.9,
        high=1.1,
        subject_calls=9,
        reference_calls=9,
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("rows", "status", "left_open"),
    [
        ([row("cart.get", "WITHIN"), row("cart.add", "UNDECIDED")], "INCONCLUSIVE", 1),
        ([row(ALL_PATTERNS, "WITHIN"), row("cart.add", "UNDECIDED")], "PASS", 1),
        ([row(ALL_PATTERNS, "WITHIN"), row("cart.add", "SLOWER")], "FAIL", 0),
        ([row(ALL_PATTERNS, "SLOWER"), row("cart.add", "WITHIN")], "FAIL", 0),
        ([row(ALL_PATTERNS, "UNDECIDED"), row("cart.add", "WITHIN")], "INCONCLUSIVE", 0),
        ([row("cart.get", ""), row("cart.add", "WITHIN")], "PASS", 0),
        ([row("cart.get", "")], "INCONCLUSIVE", 0),
    ],
)
def test_all_patterns_together_decide_where_single_ones_cannot(
    rows: list[PercentileRatio], status: str, left_open: int
) -> None:
    found = Comparison(tuple(rows))
    assert found.status == status
    assert len(found.undecided_rows) == left_open


def test_too_few_calls_cannot_tell(tmp_path: Path) -> None:
    series = [MadeSeries(rate_per_s=10.0)]
    a = write_run(tmp_path / "a", series=series, seconds=12, seed=1)
    b = write_run(tmp_path / "b", series=series, seconds=12, seed=2)
    found = compare_runs([a], [b], ALLOWED, 0.95)
    assert (found.status, found.exit_code) == ("INCONCLUSIVE", 3)
    assert next(row for row in found.rows if row.percentile == "p99").high is None


def test_runs_made_otherwise_are_refused_unless_allowed(tmp_path: Path) -> None:
    a = steady(tmp_path / "a", seed=1)
    b = steady(tmp_path / "b", seed=2, environment={"kernel": "other"})
    with pytest.raises(ResultsError, match=r"environment\.kernel"):
        compare_runs([a], [b], ALLOWED, 0.95)
    assert compare_runs([a], [b], ALLOWED, 0.95, allow_differences=True).status == "PASS"


def test_a_run_that_does_not_count_makes_the_comparison_invalid(tmp_path: Path) -> None:
    a, b = steady(tmp_path / "a", seed=1), steady(tmp_path / "b", seed=2, valid=False)
    found = compare_runs([a], [b], ALLOWED, 0.95)
    assert (found.status, found.exit_code) == ("INVALID", 4)
    assert "b: the run is invalid." in found.reasons


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", series=[MadeSeries(pattern="cart.get")], seconds=12)
    b = write_run(tmp_path / "b", series=[MadeSeries(pattern="cart.add")], seconds=12)
    with pytest.raises(ResultsError, match="no access pattern"):
        compare_runs([a], [b], ALLOWED, 0.95, allow_differences=True)


def test_several_runs_let_the_variation_between_runs_in(tmp_path: Path) -> None:
    olds = [
        steady(tmp_path / f"a{i}", seed=i, slower=0, by=by) for i, by in enumerate((0.8, 1.0, 1.25))
    ]
    new = steady(tmp_path / "b", seed=9)
    single = compare_runs([olds[1]], [new], ALLOWED, 0.95).rows[0]
    three = compare_runs(olds, [new], ALLOWED, 0.95).rows[0]
    assert width(three) > 1.3 * width(single)


def test_the_headline_is_dynamodb_over_postgres(tmp_path: Path) -> None:
    series = made_series(["cart.get"], **STEADY)
    series = [replace(series[0], median_ms=3.0), replace(series[1], median_ms=2.0)]
    rows = compare_backends(write_run(tmp_path / "run", series=series, seconds=40))
    assert [row.percentile for row in rows] == ["p50", "p90", "p99", "p99.9"]
    assert (rows[0].subject, rows[0].reference) == ("dynamodb/wire", "postgres/psycopg")
    assert known(rows[0].low) < 1.48 < known(rows[0].high)
    assert width(rows[0]) < 1.1
    assert compare_backends(write_run(tmp_path / "one", series=series[:1], seconds=12)) == []


def test_two_drivers_side_by_side(tmp_path: Path) -> None:
    series = [
        MadeSeries(driver="wire", **STEADY),
        MadeSeries(driver="boto3", median_ms=2.6, **STEADY),
    ]
    run = write_run(tmp_path / "run", series=series, seconds=40)
    boto3, wire = subjects_of(run)
    found = compare_interleaved(run, boto3, wire, ALLOWED, 0.95)
    assert found.status == "FAIL"
    with pytest.raises(ResultsError, match="no access pattern"):
        compare_interleaved(run, boto3, ComparedSubject("postgres", "psycopg"), ALLOWED, 0.95)


def test_runs_are_compared_on_undisturbed_calls_only_if_all_have_them(tmp_path: Path) -> None:
    a, b = steady(tmp_path / "a", seed=1), steady(tmp_path / "b", seed=2)
    quiet, noisy = stalled(a, share=0.05, delay_ms=90.0), stalled(b, share=0.3, delay_ms=90.0)
    on_all = compare_runs([a], [noisy], Relative(), 0.95)
    assert (on_all.basis, on_all.status) == ("all", "FAIL")
    assert "not known of every run" in on_all.calls_compared
    comparison = compare_runs([quiet], [noisy], Relative(), 0.95)
    assert comparison.basis == "undisturbed"
    assert comparison.status != "FAIL"
    assert comparison.calls_compared == "On 70% of calls, undisturbed by the machine."
    crowded = compare_runs([quiet], [stalled(b, share=0.7, delay_ms=0.0)], Relative(), 0.95)
    assert crowded.basis == "all"
    assert "the machine stalled too often: 70%" in crowded.calls_compared
    assert not compare_runs([a], [b], Relative(), 0.95).calls_compared
