"""Capacity runs as a user starts them, on a server that works on four calls at once, 4 ms each.

Its capacity is 1,000/s. The machine that tests run on may be busy: a step that the generator spoilt
is then named so, and only the others must be in the right order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtests.calibrate.server.scripts import MS, Script
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.cli import root
from loadtests.errors import LoadtestsError
from loadtests.measure.results import read_info, read_run
from tests.end_to_end.children import Children, ended

CAPACITY_PER_S = 1_000
STEPS = ("--growth", "2", "--step-time", "3", "--settle", "1", "--warm-up", "1")


@pytest.fixture
def limited() -> Iterator[str]:
    with ScriptedServer(Script("limited", delay_ns=4 * MS, hands=4)) as server:
        yield server.url


def test_a_limited_server_is_found_to_end_at_its_capacity(children: Children, limited: str) -> None:
    code, output = children.loadtests(
        *("capacity", "--backend", "dynamodb", "--dynamodb-endpoint", limited),
        *("--from", "500", "--to", "2000", *STEPS),
    )
    run = read_run(children.results / "latest")
    capacity_run = run.info.capacity_run
    assert capacity_run
    rates = [step.rate_per_s for step in capacity_run.steps]
    assert rates == [500, 1_000, 2_000][: len(rates)], output
    for step in capacity_run.steps:
        if step.rate_per_s > CAPACITY_PER_S:
            assert step.verdict in ("FAIL", "INVALID"), output
            assert step.achieved_per_s <= CAPACITY_PER_S * 1.05
            assert not step.sustained
        if step.rate_per_s < CAPACITY_PER_S:
            assert step.verdict != "FAIL" or step.sustained, output
    (answer,) = capacity_run.answers
    assert answer.max_sustained_per_s in (None, 500, 1_000)
    assert run.info.verdict
    assert code == run.info.verdict.exit_code
    assert f"Exit code {code}" in output
    assert (run.path / "report.html").exists()


def test_locust_alone_climbs_to_the_end_as_a_cluster_too(children: Children, limited: str) -> None:
    """Constant arrivals of two workers: together they are the profile, second by second."""
    output = ended(
        children.locust(
            *("--processes", "2", "--no-report", "--backend", "dynamodb"),
            *("--dynamodb-endpoint", limited, "--arrivals", "constant"),
            *("--from", "150", "--rate", "300", *STEPS),
            files=["scenarios/capacity.py"],
        )
    )
    info = read_info(children.run_folder)
    assert info.state == "complete", output
    assert [step.rate_per_s for step in info.steps] == [150, 300]
    assert [step.begin_s for step in info.steps] == [1, 4]
    assert info.config.workers == 2
    # every arrival of the profile was handed out and recorded: warm-up 1 s at 150/s, then 3 s each
    run = read_run(children.run_folder)
    calls = sum(
        interval.counts.total
        for part in (run.intervals, run.warm_up)
        for key, intervals in part.items()
        if key.metric == "response_time"
        for interval in intervals
    )
    assert abs(calls - (150 + 3 * 150 + 3 * 300)) <= 2, output


def refusal(*arguments: str) -> LoadtestsError:
    """The error of `loadtests capacity`, which starts nothing."""
    error = CliRunner().invoke(root, ["capacity", *arguments]).exception
    assert isinstance(error, LoadtestsError)
    assert error.exit_code == 2
    return error


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--from", "50", "--to", "5"], "The ramp begins at 50/s, above its last rate of 5/s"),
        (["--growth", "1"], "--growth: input should be greater than or equal to 1.01"),
        (["--growth", "1.01", "--from", "1"], "steps"),
        (["--step-time", "3", "--settle", "2"], "2 seconds or more after settle"),
        (["nowhere"], "nowhere is not a run folder"),
    ],
)
def test_mistakes_are_told_before_anything_starts(flags: list[str], sentence: str) -> None:
    assert sentence in refusal(*flags).message


def test_another_run_is_no_climb(tmp_path: Path) -> None:
    info = {"id": "r", "scenario": "cart", "state": "complete", "started_at": "now"}
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 1, **info}))
    assert "capacity run: its run.json has no steps" in refusal(str(tmp_path)).message


def test_a_scenario_that_does_not_climb_is_refused(children: Children, limited: str) -> None:
    code, output = children.loadtests(
        *("capacity", "--backend", "dynamodb", "--dynamodb-endpoint", limited),
        *("--scenario", "scenarios/cart.py", "--from", "50", "--to", "100", *STEPS),
    )
    assert code == 2
    assert "has no steps" in output
    assert "Traceback" not in output
