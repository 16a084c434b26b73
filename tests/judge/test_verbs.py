"""The verbs baseline, compare and history, run whole."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from loadtests.cli import root
from loadtests.errors import LoadtestsError, ResultsError, UsageError
from tests.run_folders import made_series, write_run

PASSED = {"status": "PASS"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")


def run_verb(*arguments):
    """Exit code and what was printed; raises the harness's own errors."""
    result = CliRunner().invoke(root, [str(a) for a in arguments], standalone_mode=False)
    if isinstance(result.exception, LoadtestsError):
        raise result.exception
    assert result.exception is None, result.output
    return result.return_value or 0, result.output


def a_run(path, *, seed=1, by=1.0, verdict=None, **settings):
    series = made_series(["cart.get", "cart.add"], drift=0.02, rate_per_s=200.0, tail_share=0.0)
    series[1] = replace(series[1], median_ms=series[1].median_ms * by)
    return write_run(
        path,
        series=series,
        seconds=30,
        seed=seed,
        verdict=verdict or {"status": "PASS"},
        **settings,
    )


def test_baseline_promote_list_and_show(tmp_path):
    for i in range(3):
        a_run(tmp_path / "results" / f"r{i}", seed=i)
    assert "No baselines" in run_verb("baseline", "list")[1]
    output = run_verb("baseline", "promote", *(f"results/r{i}" for i in range(3)))[1]
    assert output.strip() == "Baseline storefront: 3 runs."
    assert "storefront: 3 runs, promoted 20" in run_verb("baseline", "list")[1]
    output = run_verb("baseline", "show", "storefront")[1]
    for text in ("r0", "environment.kernel = Linux", "cart.add", "dynamodb/wire", "1.2"):
        assert text in output


def test_one_run_makes_a_baseline_with_a_warning(tmp_path):
    a_run(tmp_path / "r0")
    assert "three or more" in run_verb("baseline", "promote", "r0", "--name", "main")[1]


def test_force_needs_a_reason_and_shows_it(tmp_path):
    a_run(tmp_path / "r0", verdict={"status": "FAIL"})
    with pytest.raises(UsageError, match="--reason"):
        run_verb("baseline", "promote", "r0", "--force")
    with pytest.raises(ResultsError, match=r"r0 \(FAIL\)"):
        run_verb("baseline", "promote", "r0")
    run_verb("baseline", "promote", "r0", "--force", "--reason", "new machine")
    assert "forced: new machine" in run_verb("baseline", "list")[1]
    assert "(forced, was FAIL: new machine)" in run_verb("baseline", "show", "storefront")[1]


def test_compare_two_runs_by_exit_code(tmp_path):
    a_run(tmp_path / "a", seed=1)
    a_run(tmp_path / "b", seed=2)
    a_run(tmp_path / "slow", seed=3, by=1.2)
    code, output = run_verb("compare", "a", "b")
    assert code == 0
    assert "PASS" in output
    code, output = run_verb("compare", "a", "slow")
    assert code == 1
    assert "dynamodb/wire cart.add p50: +" in output
    assert "cart.get p50" not in output.split("FAIL:")[1]


def test_compare_takes_sets_and_baselines(tmp_path):
    for i in range(3):
        a_run(tmp_path / f"r{i}", seed=i)
    run_verb("baseline", "promote", "r0", "r1", "--name", "main")
    assert run_verb("compare", "main", "r2")[0] in (0, 3)
    assert run_verb("compare", "r0,r1", "r2")[0] in (0, 3)


def test_compare_within_one_run(tmp_path):
    a_run(tmp_path / "a")
    code, output = run_verb("compare", "a")
    assert code in (0, 1, 3)
    assert "dynamodb/wire over postgres/psycopg" in output
    assert run_verb("compare", "a", "--subjects", "dynamodb/wire", "postgres/psycopg")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a,a"], "nothing to compare"),
        (["a", "a", "--subjects", "x", "y"], "of one run"),
        (["a", "--subjects", "x", "postgres/psycopg"], "holds no x"),
    ],
)
def test_compare_says_what_makes_no_sense(tmp_path, arguments, message):
    a_run(tmp_path / "a")
    with pytest.raises(UsageError, match=message):
        run_verb("compare", *arguments)


def test_compare_needs_run_folders(tmp_path):
    with pytest.raises(ResultsError, match="not a run folder"):
        run_verb("compare", "nowhere")


def test_history_shows_every_series_and_each_run(tmp_path):
    for i in range(2):
        a_run(tmp_path / "results" / f"r{i}", seed=i, started_at=f"2026-03-0{i + 1}T09:00:00Z")
    a_run(tmp_path / "results" / "bad", valid=False)
    a_run(tmp_path / "results" / "unlike", config={"load": {"rate": 1.0}})
    output = run_verb("history", "--all")[1]
    assert "4 runs in results; 1 do not count." in output
    output = run_verb("history")[1]
    assert "made under other conditions" in output
    output = run_verb("history", "--all", "--pattern", "cart.get")[1]
    assert "r0" in output
    assert "r1" in output
    assert "PASS" in output
