from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.measure.results import Run, RunInfo, read_run, write_info
from loadtests.patterns import CLOUDSHELF_PATTERNS
from loadtests.report.figures.breakdown import parts_of
from loadtests.report.figures.cost import costs_of, total_of
from loadtests.report.figures.series import patterns_of, read_series, subjects_of
from tests.known import known
from tests.run_folders import MadeSeries, made_series, write_run


def test_series_come_in_the_order_of_patterns_and_backends(passed: Run) -> None:
    series = read_series(passed)
    assert patterns_of(series) == list(CLOUDSHELF_PATTERNS)
    assert [s.label for s in subjects_of(series)] == ["DynamoDB", "PostgreSQL"]
    assert [s.subject.backend for s in series[:2]] == ["dynamodb", "postgres"]


def test_two_drivers_of_a_backend_are_told_apart(tmp_path: Path) -> None:
    made = [MadeSeries(driver="wire"), MadeSeries(driver="boto3"), MadeSeries(backend="other")]
    subjects = subjects_of(read_series(write_run(tmp_path / "r", series=made, seconds=5)))
    assert [s.label for s in subjects] == ["DynamoDB (boto3)", "DynamoDB (wire)", "other"]
    assert len({s.role for s in subjects}) == 3


def test_percentiles_equal_run_json(passed: Run) -> None:
    by_place = {(s.subject.backend, s.pattern): s for s in read_series(passed)}
    for info in passed.info.series:
        one = by_place[info.backend, info.pattern]
        assert one.quantile_ms("response_time", 0.99) == known(info.response_time_ms).p99
        assert one.calls == info.count


def test_a_percentile_the_sample_cannot_carry_is_none(tmp_path: Path) -> None:
    made = [MadeSeries(rate_per_s=20)]
    (one,) = read_series(write_run(tmp_path / "r", series=made, seconds=5))
    assert one.quantile_ms("response_time", 0.5) is not None
    assert one.quantile_ms("response_time", 0.99) is None


def test_a_run_cut_short_is_read_from_its_log(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", seconds=5)
    bare = RunInfo(id="r", scenario="cart", state="running", started_at="2026-03-02T09:30:00Z")
    write_info(run.path, bare)
    series = read_series(read_run(run.path))
    assert len(series) == 18
    assert all(one.calls > 0 for one in series)


def test_the_parts_of_the_mean_add_up(passed: Run) -> None:
    for parts in parts_of(read_series(passed)):
        total = sum(known(x.value) for x in (parts.wire, parts.sdk, parts.queueing))
        assert total == pytest.approx(parts.response.value, rel=1e-9)
        # run_folders adds 0.05 + exp(0.01) ms of client library and exp(0.04) ms of queueing
        assert parts.sdk.value == pytest.approx(0.06, abs=0.006)
        assert parts.queueing.value == pytest.approx(0.04, abs=0.006)
        assert parts.note == ""


def test_a_driver_without_wire_time_has_no_client_library_part(passed: Run) -> None:
    one = read_series(passed)[0]
    bare = replace(one, histograms={k: v for k, v in one.histograms.items() if k != "wire_time"})
    (parts,) = parts_of([bare])
    assert not parts.wire.known
    assert not parts.sdk.known
    assert parts.queueing.known


def test_means_over_different_calls_are_flagged(passed: Run) -> None:
    one, other = read_series(passed)[:2]
    mixed = replace(
        one, histograms={**one.histograms, "service_time": other.histograms["service_time"]}
    )
    (parts,) = parts_of([mixed])
    assert "different calls" in parts.note


def test_cost_by_hand(tmp_path: Path) -> None:
    made = made_series(["cart.get", "cart.add"], rate_per_s=50.0)
    run = write_run(tmp_path / "r", series=made, seconds=20)
    costs = costs_of(read_series(run), 20.0)
    # run_folders: half a read unit and one write unit a call; PostgreSQL has no capacity
    assert [c.pattern for c in costs] == ["cart.get", "cart.add"]
    assert costs[0].per_million.value == pytest.approx(0.5 * 0.125 + 1.0 * 0.625)
    rate = known(costs[0].rate.value)
    assert costs[0].per_month.value == pytest.approx(0.6875 * rate * 730 * 3600 / 1e6)
    total = known(total_of(costs))
    assert total.per_month.value == pytest.approx(sum(known(c.per_month.value) for c in costs))
    assert total.per_million.value == pytest.approx(0.6875)


def test_cost_without_capacity_or_duration(passed: Run) -> None:
    series = read_series(passed)
    assert costs_of([replace(s, capacity=None) for s in series], 40.0) == []
    costs = costs_of(series, 0.0)
    assert costs[0].per_month.text == "–"
    assert total_of(costs) is None


def test_patterns_come_as_their_scenario_declares_them(tmp_path: Path) -> None:
    patterns = ["order.list", "catalogue.search", "cart.get"]
    run = write_run(
        tmp_path / "r",
        series=made_series(sorted(patterns)),
        seconds=5,
        config={"patterns": patterns},
    )
    assert patterns_of(read_series(run)) == patterns
