"""Locust as a user starts it, on the real databases: run folders, clusters, starved generators."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.load.child_environment import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.measure.histogram import HIGHEST_NS
from loadtests.measure.results import Key, Run, read_run
from loadtests.patterns import CART_PATTERNS, PATTERNS
from loadtests.targets.supervisor.messages import endpoints_to_json

ROOT = Path(__file__).parents[2]
CART = "scenarios/cart.py"

BURNING = textwrap.dedent("""
    import time
    import gevent
    from loadtests.load.plugin import OpenLoopUser
    from cart import CartUser

    def burn():
        while True:
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass
            gevent.sleep(0.05)

    class BurningUser(CartUser):
        def on_start(self):
            super().on_start()
            if not getattr(BurningUser, "burning", False):
                BurningUser.burning = True
                gevent.spawn(burn)

    del CartUser, OpenLoopUser
""")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    """The sizes that the session's databases were seeded with."""
    path = tmp_path_factory.mktemp("config") / "loadtests.toml"
    path.write_text("[data]\nusers = 200\nbooks = 60\n")
    return path


@pytest.fixture
def start(tmp_path, config_file):
    """Starts Locust; ends it with the test."""
    started = []

    def locust(*flags: str, file: str = CART, endpoints=None) -> subprocess.Popen[str]:
        environ = {
            **os.environ,
            RUN_ID_VARIABLE: "run",
            "LOADTESTS_RESULTS": str(tmp_path),
            "LOADTESTS_CONFIG": str(config_file),
            "PYTHONPATH": str(ROOT / "scenarios"),
        }
        if endpoints:
            environ[ENDPOINTS_VARIABLE] = json.dumps(endpoints_to_json(endpoints))
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            file,
            "--headless",
            "--only-summary",
            *flags,
        ]
        process = subprocess.Popen(
            [*command, *flags], cwd=ROOT, env=environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield locust
    for process in started:
        if process.poll() is None:
            process.kill()
        if not process.stdout.closed:
            process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=120)
    return said


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "health.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def every_call_is_there(run: Run) -> None:
    """What was handed to users was recorded; what waited for one at the end came on top."""
    offered = sum(int(row["offered"]) for row in rows(run.path))
    recorded = sum(
        interval.counts.total
        for part in (run.intervals, run.warm_up)
        for key, intervals in part.items()
        if key.metric == "response_time"
        for interval in intervals
    )
    unfinished = sum(series.unfinished for series in run.info.series)
    assert offered <= recorded <= offered + unfinished


def test_a_headless_run_leaves_a_whole_run_folder(start, seeded, tmp_path):
    said = ended(
        start("--run-time", "10s", "--warm-up", "2", "--rate", "100", "--no-report",
              file=f"{CART},scenarios/session.py", endpoints=seeded)
    )  # fmt: skip
    run = read_run(tmp_path / "run")
    assert run.info.state == "complete", said
    assert run.info.scenario == "cart+session"
    assert {(s.backend, s.pattern) for s in run.info.series} == {
        (backend, pattern) for backend in ("dynamodb", "postgres") for pattern in PATTERNS
    }
    assert not any(s.errors for s in run.info.series), said
    for series in run.info.series:
        key = Key(series.backend, series.driver, series.pattern, "response_time")
        assert run.total(key).total == series.count
        assert series.service_time_ms.p50 <= series.response_time_ms.p50 * 1.002
        assert series.wire_time_ms.p50 <= series.service_time_ms.p50 * 1.002
    every_call_is_there(run)
    capacity = {s.pattern: s.capacity for s in run.info.series if s.backend == "dynamodb"}
    assert capacity["cart.get"].rcu_per_op > 0
    assert capacity["cart.add"].wcu_per_op > 0
    assert "postgresql://" not in (tmp_path / "run" / "run.json").read_text()


def test_any_hdrhistogram_reader_opens_the_log(start, seeded, tmp_path):
    said = ended(
        start("--run-time", "5s", "--warm-up", "1", "--rate", "60", "--no-report",
              "--backend", "dynamodb", endpoints=seeded)
    )  # fmt: skip
    run = read_run(tmp_path / "run")
    assert run.info.state == "complete", said
    reader = HistogramLogReader(
        str(tmp_path / "run" / "latency.hlog"), HdrHistogram(1, HIGHEST_NS, 3)
    )
    total = 0
    while (histogram := reader.get_next_interval_histogram()) is not None:
        if histogram.get_tag().endswith("/response_time"):
            total += histogram.get_total_count()
    reader.close()
    assert total == sum(series.count for series in run.info.series)


def test_a_cluster_of_two_workers_merges_to_the_last_call(start, seeded, tmp_path):
    said = ended(
        start("--run-time", "7s", "--warm-up", "2", "--rate", "80", "--no-report",
              "--processes", "2", endpoints=seeded)
    )  # fmt: skip
    run = read_run(tmp_path / "run")
    assert run.info.state == "complete", said
    assert {row["worker"] for row in rows(tmp_path / "run")} == {"worker 1", "worker 2"}
    every_call_is_there(run)
    assert not any(s.errors for s in run.info.series)
    assert {s.pattern for s in run.info.series} == set(CART_PATTERNS)


def test_a_killed_run_keeps_what_was_seen(start, seeded, tmp_path):
    process = start("--run-time", "60s", "--warm-up", "0", "--rate", "60", "--no-report",
                    endpoints=seeded)  # fmt: skip
    path = tmp_path / "run"
    until = time.monotonic() + 60
    while not (path / "run.json").exists() or not read_run(path).info.series:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while read_run(path).info.state == "running":
        assert time.monotonic() < until
    run = read_run(path)
    assert run.info.state == "interrupted"
    assert sum(series.count for series in run.info.series) > 0


def broken(path: Path) -> set[str]:
    return {reason.rule for reason in read_run(path).info.validity.reasons}


def test_a_generator_that_burns_its_cpu_is_invalid_with_exit_code_4(start, seeded, tmp_path):
    file = tmp_path / "burning.py"
    file.write_text(BURNING)
    process = start("--run-time", "6s", "--warm-up", "1", "--rate", "100", file=str(file),
                    endpoints=seeded)  # fmt: skip
    said = ended(process)
    assert "late dispatches" in broken(tmp_path / "run"), said
    assert process.returncode == 4, said
    assert "INVALID" in said


def test_a_generator_stopped_for_200_ms_is_invalid(start, seeded, tmp_path):
    process = start("--run-time", "8s", "--warm-up", "1", "--rate", "100", "--no-report",
                    endpoints=seeded)  # fmt: skip
    path = tmp_path / "run"
    until = time.monotonic() + 60
    while not (path / "run.json").exists() or read_run(path).info.duration_s < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)  # the fault itself, not a wait for anything
    process.send_signal(signal.SIGCONT)
    said = ended(process)
    assert broken(path) & {"late dispatches", "event-loop stalls"}, said


def test_too_few_users_are_the_generators_fault(start, tmp_path):
    with ScriptedServer(SCRIPTS["constant"]) as server:
        said = ended(
            start("--run-time", "5s", "--warm-up", "1", "--rate", "1000", "--users", "1",
                  "--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", server.url)
        )  # fmt: skip
    reasons = read_run(tmp_path / "run").info.validity.reasons
    found = {reason.rule: reason for reason in reasons}
    assert "free users" in found, said
    assert "--users to 20" in found["free users"].remedy


def test_a_frozen_database_is_not_the_generators_fault(start, tmp_path):
    with ScriptedServer(SCRIPTS["frozen"]) as server:
        said = ended(
            start("--run-time", "13s", "--warm-up", "1", "--rate", "50", "--users", "8",
                  "--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", server.url)
        )  # fmt: skip
    run = read_run(tmp_path / "run")
    assert "free users" not in broken(tmp_path / "run"), said
    slowest = max(series.response_time_ms.max for series in run.info.series)
    assert slowest > 500, "the second that everybody waited must be seen"


def test_a_hopeless_rate_is_invalid_and_says_why(start, tmp_path):
    with ScriptedServer(SCRIPTS["constant"]) as server:
        process = start("--run-time", "4s", "--warm-up", "1", "--rate", "100000",
                        "--backend", "dynamodb", "--dynamodb-endpoint", server.url)  # fmt: skip
        said = ended(process)
    assert process.returncode == 4, said
    assert "free users" in broken(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert sum(series.unfinished for series in run.info.series) > 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--rate", "-1"), "--rate: input should be greater than 0"),
        (("--warm-up", "12"), "ends within the warm-up"),
        (("--dynamodb-endpoint", "http://127.0.0.1:1"), "did not respond"),
        (("--dynamodb-endpoint", "http://10.1.2.3:8000"), "is not on this machine"),
        (("--nonsense",), "unrecognized arguments: --nonsense"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_code_2(start, tmp_path, flags, sentence):
    process = start("--run-time", "11s", "--no-report", "--backend", "dynamodb", *flags)
    said = ended(process)
    assert sentence in said
    assert "Traceback" not in said
    assert process.returncode == 2
    assert not (tmp_path / "run").exists()
