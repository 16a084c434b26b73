"""`loadtests history`: every series over time, and one pattern run by run."""

from __future__ import annotations

from pathlib import Path

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
