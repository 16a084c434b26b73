"""`loadtests compare --interleave` as a user starts it, on the real DynamoDB Local."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.measure.results import Key, Run, read_run
from loadtests.patterns import CART_PATTERNS

ROOT = Path(__file__).parents[2]
SHOP = "tests.end_to_end.shop"
STATUS = {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE", 4: "INVALID"}


@pytest.fixture
def interleave(tmp_path, seeded):
    """Runs the verb against the session's DynamoDB; gives exit code and what it said."""
    config = tmp_path / "loadtests.toml"
    config.write_text("[data]\nusers = 200\nbooks = 60\n")

    def run(*arguments: str) -> tuple[int, str]:
        environ = {
            **os.environ,
            "LOADTESTS_CONFIG": str(config),
            "LOADTESTS_RESULTS": str(tmp_path / "results"),
            "LOADTESTS_DYNAMODB_ENDPOINT": seeded.dynamodb.url,
            "COLUMNS": "120",
        }
        done = subprocess.run(
            [sys.executable, "-m", "loadtests", "compare", "--interleave", *arguments,
             "--scenario", "scenarios/cart.py"],
            cwd=ROOT, env=environ, text=True, capture_output=True, timeout=150, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def second_by_second(run: Run, driver: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for pattern in CART_PATTERNS:
        key = Key("dynamodb", driver, pattern, "response_time")
        for one in run.intervals.get(key, []):
            second = round(one.start_s)
            found[second] = found.get(second, 0) + one.counts.total
    return found


def test_two_drivers_take_turns_in_one_run(interleave, tmp_path):
    code, said = interleave("wire", "boto3", "--rate", "60", "--run-time", "12", "--warm-up", "2")
    run = read_run(tmp_path / "results" / "latest")
    assert run.info.state == "complete", said
    assert {(s.driver, s.pattern) for s in run.info.series} == {
        (driver, pattern) for driver in ("wire", "boto3") for pattern in CART_PATTERNS
    }
    assert not any(s.errors for s in run.info.series), "each has carts of its own"
    blocks = run.info.config["blocks"]
    turns = {block["start_s"]: block["subject"].partition("/")[2] for block in blocks}
    for driver, other in (("wire", "boto3"), ("boto3", "wire")):
        calls = second_by_second(run, driver)
        in_turn = sum(n for second, n in calls.items() if turns.get(second) == driver)
        assert in_turn > 0.9 * sum(calls.values()), said
        # in the other's turn only what was still out when its own ended
        out_of_turn = [s for s in calls if turns.get(s) == other]
        assert all(turns.get(s - 1) == driver for s in out_of_turn)
    # five pairs carry no interval, so nothing can be shown either way
    assert code in (3, 4), said
    assert run.info.verdict["status"] == STATUS[code]
    assert "5 pairs of blocks are measured, and intervals need 10: --run-time 22" in said
    assert "dynamodb/boto3 over dynamodb/wire" in said
    assert (run.path / "report.html").exists()
    assert run.info.config["load"]["subjects"] == "dynamodb/wire dynamodb/boto3"


def test_a_cluster_takes_turns_too_and_a_subject_may_meet_itself(interleave, tmp_path):
    code, said = interleave(
        "wire", "wire", "--rate", "60", "--run-time", "8", "--warm-up", "2", "--processes", "2"
    )
    run = read_run(tmp_path / "results" / "latest")
    assert run.info.config["workers"] == 2, said
    assert {s.driver for s in run.info.series} == {"wire", "wire-2"}
    assert not any(s.errors for s in run.info.series), "four owners, and no cart of two"
    starts = {driver: set(second_by_second(run, driver)) for driver in ("wire", "wire-2")}
    turns = {b["start_s"]: b["subject"].partition("/")[2] for b in run.info.config["blocks"]}
    for driver, seconds in starts.items():
        assert all(driver in (turns.get(s), turns.get(s - 1)) for s in seconds if 3 <= s < 8)
    assert code in (3, 4), said


def test_a_teams_own_stores_beside_a_driver(interleave, tmp_path):
    code, said = interleave(
        "wire", f"{SHOP}:open_stores", "--rate", "60", "--run-time", "8", "--warm-up", "2",
        "--blocks", "simultaneous",
    )  # fmt: skip
    run = read_run(tmp_path / "results" / "latest")
    series = {(s.driver, s.pattern): s for s in run.info.series}
    own = f"{SHOP}-open_stores"
    assert set(series) == {(d, p) for d in ("wire", own) for p in CART_PATTERNS}, said
    assert not any(s.errors for s in series.values()), said
    assert series[own, "cart.get"].wire_time_ms is None
    assert series["wire", "cart.get"].wire_time_ms is not None
    assert "blocks" not in run.info.config
    assert code in (3, 4), said
    assert run.info.verdict["status"] == STATUS[code]
    assert f"dynamodb/{own} over dynamodb/wire" in said
    assert own in (run.path / "report.html").read_text()


def test_a_factory_that_fails_after_some_users_ends_the_run(interleave):
    code, said = interleave("wire", f"dynamodb/{SHOP}:weary", "--run-time", "30")
    assert "Error: tests.end_to_end.shop:weary failed: ConnectionError: no more" in said
    assert "Traceback" not in said
    assert code == 2


@pytest.mark.parametrize(
    ("subjects", "sentence"),
    [
        (("wire", f"dynamodb/{SHOP}:broken"), "broken failed: ConnectionError: the pool is empty"),
        (("wire", f"{SHOP}:broken"), "broken does not declare its backend"),
        (("wire", f"{SHOP}:nothing"), f"The module {SHOP} has no nothing"),
        (("wire", "aioboto3"), "this one is for asyncio"),
        (("wire",), "--interleave compares two subjects"),
        (("wire", "boto3", "--blocks", "0.5"), "not a number of whole seconds"),
        (("wire", "boto3", "--run-time", "10"), "leave no time to measure both"),
        (("wire", "boto3", "--subjects", "a", "b"), "--interleave makes a run of its own"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_code_2(interleave, tmp_path, subjects, sentence):
    code, said = interleave(*subjects)
    assert sentence in said
    assert "Traceback" not in said
    assert code == 2
    assert not (tmp_path / "results").exists()


def test_flags_of_a_run_to_be_made_are_refused_for_runs_that_there_are(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "loadtests", "compare", "a", "b", "--run-time", "3"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "--run-time is for --interleave" in done.stderr) == (2, True)
