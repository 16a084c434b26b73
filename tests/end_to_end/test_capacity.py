"""Capacity runs as a user starts them, on a server that works on four calls at once, 4 ms each.

Its capacity is 1,000/s. The machine that tests run on may be busy: a step that the generator spoilt
is then named so, and only the others must be in the right order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtests.calibrate.server.scripts import MS, Script
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.cli import root
from loadtests.errors import LoadtestsError
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.measure.results import read_info, read_run

ROOT = Path(__file__).parents[2]
CAPACITY_PER_S = 1_000
STEPS = ("--growth", "2", "--step-time", "3", "--settle", "1", "--warm-up", "1")


@pytest.fixture
def limited():
    with ScriptedServer(Script("limited", delay_ns=4 * MS, hands=4)) as server:
        yield server.url


@pytest.fixture
def environ(tmp_path):
    config = tmp_path / "loadtests.toml"
    config.write_text("[data]\nusers = 200\nbooks = 60\n")
    return {
        **os.environ,
        "LOADTESTS_CONFIG": str(config),
        "LOADTESTS_RESULTS": str(tmp_path / "results"),
        "NO_COLOR": "1",
    }


def started(command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environ, text=True, timeout=180,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip


def test_a_limited_server_is_found_to_end_at_its_capacity(limited, environ, tmp_path):
    done = started(
        ["loadtests", "capacity", "--backend", "dynamodb", "--dynamodb-endpoint", limited,
         "--from", "250", "--to", "2000", *STEPS],
        environ,
    )  # fmt: skip
    run = read_run(tmp_path / "results" / "latest")
    told = run.info.capacity_run
    rates = [step.rate_per_s for step in told.steps]
    assert rates == [250, 500, 1_000, 2_000][: len(rates)], done.stdout
    for step in told.steps:
        if step.rate_per_s > CAPACITY_PER_S:
            assert step.verdict in ("FAIL", "INVALID"), done.stdout
            assert step.achieved_per_s <= CAPACITY_PER_S * 1.05
            assert not step.sustained
        if step.rate_per_s < CAPACITY_PER_S:
            assert step.verdict != "FAIL" or step.sustained, done.stdout
    (answer,) = told.answers
    assert answer.max_sustained_per_s in (None, 250, 500, 1_000)
    assert done.returncode == run.info.verdict.exit_code
    assert f"Exit code {done.returncode}" in done.stdout
    assert (run.path / "report.html").exists()


def test_locust_alone_climbs_to_the_end_as_a_cluster_too(limited, environ, tmp_path):
    """Constant arrivals of two workers: together they are the profile, second by second."""
    done = started(
        ["locust", "-f", "scenarios/capacity.py", "--headless", "--only-summary", "--processes",
         "2", "--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", limited, "--arrivals",
         "constant", "--from", "150", "--rate", "300", *STEPS],
        environ | {RUN_ID_VARIABLE: "run"},
    )  # fmt: skip
    info = read_info(tmp_path / "results" / "run")
    assert info.state == "complete", done.stdout
    assert [step.rate_per_s for step in info.steps] == [150, 300]
    assert [step.begin_s for step in info.steps] == [1, 4]
    assert info.config["workers"] == 2
    # every arrival of the profile was handed out and recorded: warm-up 1 s at 150/s, then 3 s each
    run = read_run(tmp_path / "results" / "run")
    calls = sum(
        interval.counts.total
        for part in (run.intervals, run.warm_up)
        for key, held in part.items()
        if key.metric == "response_time"
        for interval in held
    )
    assert abs(calls - (150 + 3 * 150 + 3 * 300)) <= 2, done.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--from", "50", "--to", "5"], "The climb begins at 50/s, above its last rate of 5/s"),
        (["--growth", "1"], "--growth: input should be greater than or equal to 1.01"),
        (["--growth", "1.01", "--from", "1"], "steps"),
        (["--step-time", "3", "--settle", "2"], "2 seconds or more after settle"),
        (["nowhere"], "nowhere is not a run folder"),
    ],
)
def test_mistakes_are_told_before_anything_starts(flags, said):
    result = CliRunner().invoke(root, ["capacity", *flags])
    assert isinstance(result.exception, LoadtestsError)
    assert result.exception.exit_code == 2
    assert said in result.exception.message


def test_another_run_is_no_climb(tmp_path):
    info = {"id": "r", "scenario": "cart", "state": "complete", "started_at": "now"}
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 1, **info}))
    result = CliRunner().invoke(root, ["capacity", str(tmp_path)])
    assert isinstance(result.exception, LoadtestsError)
    assert "not a capacity run" in result.exception.message


def test_a_scenario_that_does_not_climb_is_refused(limited, environ):
    done = started(
        ["loadtests", "capacity", "--backend", "dynamodb", "--dynamodb-endpoint", limited,
         "--scenario", "scenarios/cart.py", "--from", "50", "--to", "100", *STEPS],
        environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert "does not climb" in done.stdout
    assert "Traceback" not in done.stdout
