"""The run folder of a benchmark session, as the judge and the report read it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.judging import judge_run
from loadtests.measure import hlog
from loadtests.measure.results import IterationPlan, Key, RunConfig, read_run
from loadtests.microbench.folder import MicroFolder
from loadtests.microbench.rows import row_of
from loadtests.microbench.suites.plans import SuitePlan
from loadtests.microbench.timing.clocks import Seconds
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from tests.microbench.made import MS, Time, spec, subject
from tests.microbench.timing.test_passes import run

ENDPOINTS = Endpoints(
    DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:hidden@127.0.0.1/d")
)


@pytest.fixture
def written(tmp_path):
    """A finished folder of two series and a variant, and the subjects it was made of."""
    time, order = Time(), []
    times = np.random.default_rng(2).lognormal(0.7, 0.3, 100_000) * MS
    draws = iter(times.astype(np.int64).tolist())
    subjects = [
        subject(time, order, name, takes=lambda: (next(draws), MS // 3, MS // 100))
        for name in ("wire", "boto3")
    ]
    variant = subject(time, order, "eventual read", "boto3 cart.get_item, warm/cold")
    variant.spec = spec("eventual read", "boto3 cart.get_item, warm/cold", pattern="")
    config = {"patterns": ["cart.get"], "load": {"seed": 1}}
    folder = MicroFolder(tmp_path / "run", config, ENDPOINTS, tells_cpu_wait=True)
    seconds = Seconds(time.clocks, time.now_ns)
    every = [*subjects, variant]
    run(
        every,
        SuitePlan(3_000, 100),
        time,
        seconds=seconds,
        on_second=lambda warm_up: folder.close_second(every, seconds, warm_up=warm_up),
    )
    folder.add_rows(row_of(one.spec, one.measured) for one in every)
    folder.finish("complete")
    return read_run(tmp_path / "run"), subjects, variant


def test_every_measured_call_is_there_once(written):
    found, subjects, _ = written
    for one in subjects:
        for metric, column in (
            ("response_time", one.measured.service),
            ("service_time", one.measured.service),
            ("wire_time", one.measured.wire),
        ):
            key = Key("dynamodb", one.spec.driver, "cart.get", metric)
            assert found.total(key).total == len(column) == 3_000
            assert found.total(key).max_ns() == pytest.approx(max(column), rel=1e-3)
            assert sum(i.counts.total for i in found.warm_up[key]) == 100
    assert {(s.driver, s.count) for s in found.info.series} == {("wire", 3_000), ("boto3", 3_000)}


def test_the_judge_takes_it_like_any_run(written):
    found, _, _ = written
    verdict = judge_run(found, Slo(), Gate())
    assert (verdict.status, verdict.reasons) == ("PASS", ())
    assert {limit.driver for limit in verdict.limits} == {"wire", "boto3"}


def test_rows_say_what_the_judge_says(written):
    found, _, _ = written
    said = {
        (e.driver, e.percentile): (e.estimate_ms, e.low_ms, e.high_ms)
        for e in judge_run(found, Slo(), Gate()).estimates
    }
    for row in found.info.micro.rows:
        if row.pattern:
            mine = (row.p99_ms, row.p99_low_ms, row.p99_high_ms)
            assert mine == said[row.driver, "p99"]
            assert row.p50_ms == said[row.driver, "p50"][0]


def test_a_series_carries_its_client_cpu(written):
    found, _, _ = written
    for one in found.info.series:
        assert one.client_cpu_ms == pytest.approx(1 / 3, rel=1e-3)
        assert 0 < one.sdk_share < 1


def test_variants_are_kept_and_not_judged(written):
    found, _, variant = written
    lines = list(hlog.read_log(found.path / "variants.hlog"))
    counted = dict.fromkeys(("response_time", "service_time", "wire_time"), 0)
    for line in lines:
        counted[Key.parse(line.tag).metric] += line.counts.total
    assert set(counted.values()) == {len(variant.measured.service)}
    assert len(found.info.micro.rows) == 3


def test_the_folder_is_complete_and_holds_no_password(written):
    found, _, _ = written
    assert found.info.state == "complete"
    assert found.info.validity.valid
    assert found.info.scenario == "micro"
    texts = [file.read_text() for file in found.path.iterdir() if file.is_file()]
    assert not any("hidden" in text for text in texts)
    rows = (found.path / "health.csv").read_text().splitlines()
    assert len(rows) > 10
    assert json.loads((found.path / "run.json").read_text())["series"]


def test_a_crowded_machine_makes_the_run_invalid(tmp_path):
    time = Time()
    one = subject(time, [], takes=lambda: (9 * MS, MS, 7 * MS))
    folder = MicroFolder(tmp_path / "run", RunConfig(), ENDPOINTS, tells_cpu_wait=True)
    seconds = Seconds(time.clocks, time.now_ns)
    run(
        [one],
        SuitePlan(400, 0),
        time,
        seconds=seconds,
        on_second=lambda warm_up: folder.close_second([one], seconds, warm_up=warm_up),
    )
    folder.finish("complete")
    found = read_run(tmp_path / "run")
    assert "late calls" in {reason.rule for reason in found.info.validity.reasons}
    assert judge_run(found, Slo(), Gate()).status == "INVALID"


def test_targets_are_described_without_the_dsn():
    described = ENDPOINTS.described()
    assert described["dynamodb"]["url"] == "http://127.0.0.1:1"
    assert "hidden" not in str(described)
    assert Endpoints().described() == {}


def test_versions_of_every_driver_are_conditions_of_a_run(written):
    found, _, _ = written
    assert {"boto3", "aioboto3", "psycopg", "asyncpg"} <= set(found.info.environment.packages)


def test_rounds_and_the_machines_speed_by_part_stand_in_run_json(tmp_path):
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
    told = read_run(tmp_path / "run").info.micro
    assert told.iterations["clients"].measured == 3
    assert told.machine["clients"].work_ms > 0
    assert told.machine["clients"].round_trip_ms > 0
