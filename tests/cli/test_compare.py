"""`loadtests compare`: two runs, sets of runs and baselines, or two subjects of one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import ResultsError, UsageError
from tests.cli.verbs import run_verb, write_pair


def test_compare_two_runs_by_exit_code(tmp_path: Path) -> None:
    write_pair(tmp_path / "a", seed=1)
    write_pair(tmp_path / "b", seed=2)
    write_pair(tmp_path / "slow", seed=3, by=1.2)
    code, output = run_verb("compare", "a", "b")
    assert code == 0
    assert "PASS" in output
    code, output = run_verb("compare", "a", "slow")
    assert code == 1
    assert "dynamodb/wire cart.add p50: +" in output
    assert "cart.get p50" not in output.split("FAIL:")[1]


def test_compare_takes_sets_and_baselines(tmp_path: Path) -> None:
    for i in range(3):
        write_pair(tmp_path / f"r{i}", seed=i)
    run_verb("baseline", "promote", "r0", "r1", "--name", "main")
    of_baseline, of_folders = run_verb("compare", "main", "r2"), run_verb("compare", "r0,r1", "r2")
    assert of_baseline == of_folders
    assert of_baseline[0] == 0


def test_compare_within_one_run(tmp_path: Path) -> None:
    write_pair(tmp_path / "a")
    code, output = run_verb("compare", "a")
    assert code == 0
    assert "dynamodb/wire over postgres/psycopg" in output
    assert run_verb("compare", "a", "--subjects", "dynamodb/wire", "postgres/psycopg")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a,a"], "Nothing to compare with"),
        (["a", "a", "--subjects", "x", "y"], "inside one run"),
        (["a", "--subjects", "x", "postgres/psycopg"], "holds no x"),
        (["a", "a", "--rate", "5"], "^--rate needs --interleave"),
        (["a", "a", "--scenario", "x.py"], "^--scenario needs --interleave"),
        (["a", "a", "--dynamodb-endpoint", "aws"], "^--dynamodb-endpoint needs --interleave"),
        (["a", "--interleave"], "compares two subjects"),
        (["a", "b", "--interleave", "--allow-differences"], "makes a new run"),
    ],
)
def test_compare_says_what_makes_no_sense(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    write_pair(tmp_path / "a")
    with pytest.raises(UsageError, match=message):
        run_verb("compare", *arguments)


def test_compare_needs_run_folders(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="not a run folder"):
        run_verb("compare", "nowhere")
