"""The run folder of a benchmark session, as the judge and the report read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.judging import judge_run
from loadtests.measure import hlog
from loadtests.measure.results import (
    IterationPlan,
    Key,
    LoadSettings,
    ResultRow,
    Run,
    RunConfig,
    read_run,
)
from loadtests.microbench.folder import MicroFolder
from loadtests.microbench.rows import row_of
from loadtests.microbench.suites.cases import BenchmarkSubject
from loadtests.microbench.suites.plans import SuitePlan
from loadtests.microbench.timing.clocks import Seconds
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from tests.microbench.fakes import MS, Name, Time, run_pass, subject

ENDPOINTS = Endpoints(
    DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:hidden@127.0.0.1/d")
)


@dataclass(frozen=True)
class WrittenFolder:
    """A finished folder of two series and a variant, and the subjects it was made of."""

    run: Run
    subjects: list[BenchmarkSubject]
    variant: BenchmarkSubject

    @property
    def rows(self) -> list[ResultRow]:
        assert self.run.info.micro is not None
        return self.run.info.micro.rows


@pytest.fixture
def written(tmp_path: Path) -> WrittenFolder:
    time = Time()
    order: list[Name] = []
    times = np.random.default_rng(2).lognormal(0.7, 0.3, 100_000) * MS
    draws = iter(times.astype(np.int64).tolist())
    subjects = [
        subject(time, order, name, takes=lambda: (next(draws), MS // 3, MS // 100))
        for name in ("wire", "boto3")
    ]
    variant = subject(time, order, "eventual read", "boto3 get_item, warm/cold", pattern="")
    config = RunConfig(patterns=["cart.get"], load=LoadSettings(seed=1))
    folder = MicroFolder(tmp_path / "run", config, ENDPOINTS, tells_cpu_wait=True)
    seconds = Seconds(time.clocks, time.now_ns)
    everything = [*subjects, variant]
    run_pass(
        everything,
        SuitePlan(3_000, 100),
        time,
        seconds=seconds,
        on_second=lambda warm_up: folder.close_second(everything, seconds, warm_up=warm_up),
    )
    folder.add_rows(row_of(each.spec, each.measured) for each in everything)
    folder.finish("complete")
    return WrittenFolder(read_run(tmp_path / "run"), subjects, variant)


def test_every_measured_call_is_there_once(written: WrittenFolder) -> None:
    run = written.run
    for each in written.subjects:
        for metric, column in (
            ("response_time", each.measured.service),
            ("service_time", each.measured.service),
            ("wire_time", each.measured.wire),
        ):
            key = Key("dynamodb", each.spec.driver, "cart.get", metric)
            assert run.total(key).total == len(column) == 3_000
            assert run.total(key).max_ns() == pytest.approx(max(column), rel=1e-3)
            assert sum(interval.counts.total for interval in run.warm_up[key]) == 100
    assert {(s.driver, s.count) for s in run.info.series} == {("wire", 3_000), ("boto3", 3_000)}


def test_the_judge_takes_it_like_any_run(written: WrittenFolder) -> None:
    verdict = judge_run(written.run, Slo(), Gate())
    assert (verdict.status, verdict.reasons) == ("PASS", ())
    assert {limit.driver for limit in verdict.limits} == {"wire", "boto3"}


def test_rows_state_what_the_judge_states(written: WrittenFolder) -> None:
    estimates = {
        (e.driver, e.percentile): (e.estimate_ms, e.low_ms, e.high_ms)
        for e in judge_run(written.run, Slo(), Gate()).estimates
    }
    judged = [row for row in written.rows if row.pattern]
    assert len(judged) == 2
    for row in judged:
        assert (row.p99_ms, row.p99_low_ms, row.p99_high_ms) == estimates[row.driver, "p99"]
        assert row.p50_ms == estimates[row.driver, "p50"][0]


def test_a_series_has_its_client_cpu(written: WrittenFolder) -> None:
    for series in written.run.info.series:
        assert series.client_cpu_ms == pytest.approx(1 / 3, rel=1e-3)
        assert series.sdk_share is not None
        assert 0 < series.sdk_share < 1


def test_variants_are_written_and_not_judged(written: WrittenFolder) -> None:
    counts = dict.fromkeys(("response_time", "service_time", "wire_time"), 0)
    for tag, interval in hlog.read_log(written.run.path / "variants.hlog"):
        counts[Key.parse(tag).metric] += interval.counts.total
    assert set(counts.values()) == {len(written.variant.measured.service)}
    assert len(written.rows) == 3


def test_the_folder_is_complete_and_has_no_password(written: WrittenFolder) -> None:
    info, path = written.run.info, written.run.path
    assert info.state == "complete"
    assert info.validity is not None
    assert info.validity.valid
    assert info.scenario == "micro"
    texts = [file.read_text() for file in path.iterdir() if file.is_file()]
    assert not any("hidden" in text for text in texts)
    assert len((path / "health.csv").read_text().splitlines()) > 10
    assert json.loads((path / "run.json").read_text())["series"]


def test_a_crowded_machine_makes_the_run_invalid(tmp_path: Path) -> None:
    time = Time()
    crowded = subject(time, [], takes=lambda: (9 * MS, MS, 7 * MS))
    folder = MicroFolder(tmp_path / "run", RunConfig(), ENDPOINTS, tells_cpu_wait=True)
    seconds = Seconds(time.clocks, time.now_ns)
    run_pass(
        [crowded],
        SuitePlan(400, 0),
        time,
        seconds=seconds,
        on_second=lambda warm_up: folder.close_second([crowded], seconds, warm_up=warm_up),
    )
    folder.finish("complete")
    run = read_run(tmp_path / "run")
    assert run.info.validity is not None
    assert "late calls" in {reason.rule for reason in run.info.validity.reasons}
    assert judge_run(run, Slo(), Gate()).status == "INVALID"


def test_targets_are_described_without_the_dsn() -> None:
    described = ENDPOINTS.described()
    assert described["dynamodb"]["url"] == "http://127.0.0.1:1"
    assert "hidden" not in str(described)
    assert Endpoints().described() == {}


def test_versions_of_every_driver_are_conditions_of_a_run(written: WrittenFolder) -> None:
    packages = written.run.info.environment.packages
    assert {"boto3", "aioboto3", "psycopg", "asyncpg"} <= set(packages)


def test_iterations_and_the_machine_s_speed_by_suite_are_in_run_json(tmp_path: Path) -> None:
    folder = MicroFolder(
        tmp_path / "run",
        RunConfig(),
        ENDPOINTS,
        tells_cpu_wait=False,
        iterations={"clients": IterationPlan(measured=3, warm_up=1)},
    )
    for _ in range(2):
        folder.measure_machine()
    folder.end_suite("clients")
    folder.add_rows([])
    folder.finish("complete")
    micro = read_run(tmp_path / "run").info.micro
    assert micro is not None
    assert micro.iterations["clients"].measured == 3
    assert micro.machine["clients"].work_ms > 0
    assert micro.machine["clients"].round_trip_ms > 0
