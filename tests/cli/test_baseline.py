"""`loadtests baseline`: promote, list, show."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import ResultsError, UsageError
from loadtests.measure.environment import describe_environment
from tests.cli.verbs import run_verb, write_pair


def test_baseline_promote_list_and_show(tmp_path: Path) -> None:
    for i in range(3):
        write_pair(tmp_path / "results" / f"r{i}", seed=i)
    assert "No baselines" in run_verb("baseline", "list")[1]
    output = run_verb("baseline", "promote", *(f"results/r{i}" for i in range(3)))[1]
    assert output.strip() == "Baseline storefront: 3 runs."
    assert "storefront: 3 runs, promoted 20" in run_verb("baseline", "list")[1]
    output = run_verb("baseline", "show", "storefront")[1]
    for text in (
        "r0",
        f"environment.kernel = {describe_environment().kernel}",
        "cart.add",
        "dynamodb/wire",
        "1.2",
    ):
        assert text in output


def test_one_run_makes_a_baseline_with_a_warning(tmp_path: Path) -> None:
    write_pair(tmp_path / "r0")
    assert "three or more" in run_verb("baseline", "promote", "r0", "--name", "main")[1]


def test_force_needs_a_reason_and_shows_it(tmp_path: Path) -> None:
    write_pair(tmp_path / "r0", status="FAIL")
    with pytest.raises(UsageError, match="--reason"):
        run_verb("baseline", "promote", "r0", "--force")
    with pytest.raises(ResultsError, match=r"r0 \(FAIL\)"):
        run_verb("baseline", "promote", "r0")
    run_verb("baseline", "promote", "r0", "--force", "--reason", "new machine")
    assert "forced: new machine" in run_verb("baseline", "list")[1]
    assert "(forced, was FAIL: new machine)" in run_verb("baseline", "show", "storefront")[1]
