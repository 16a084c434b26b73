"""`loadtests history`: every series over time, and one pattern run by run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import UsageError
from tests.cli.verbs import run_verb, write_pair


def test_history_shows_every_series_and_each_run(tmp_path: Path) -> None:
    for i in range(2):
        write_pair(tmp_path / "results" / f"r{i}", seed=i, started_at=f"2026-03-0{i + 1}T09:00:00Z")
    write_pair(tmp_path / "results" / "bad", valid=False)
    write_pair(tmp_path / "results" / "unlike", config={"load": {"rate": 1.0}})
    output = run_verb("history", "--all")[1]
    assert "4 runs in results; 1 do not count." in output
    output = run_verb("history")[1]
    assert "made under other conditions" in output
    output = run_verb("history", "--all", "--pattern", "cart.get")[1]
    assert "r0" in output
    assert "r1" in output
    assert "PASS" in output


def test_a_pattern_that_no_run_measured_is_a_users_mistake(tmp_path: Path) -> None:
    write_pair(tmp_path / "results" / "r0")
    with pytest.raises(UsageError, match=r"None of these runs measured cart\.gte") as caught:
        run_verb("history", "--pattern", "cart.gte")
    assert "They measured cart.get, cart.add." in caught.value.hint
