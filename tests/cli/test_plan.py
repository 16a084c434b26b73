"""`loadtests plan`: how long a run must be, of which access patterns, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from loadtests.cli import plan
from loadtests.config import Config
from loadtests.errors import ConfigError
from loadtests.load.declared_stores import ScenarioClass, StoreNeed
from tests.cli.verbs import run_verb

ROOT = Path(__file__).resolve().parents[2]
CLASSES = [
    ScenarioClass("CartUser", {"cart.get": 60.0, "cart.add": 20.0}),
    ScenarioClass("SessionUser", {"session.get": 20.0}),
]


@pytest.fixture(autouse=True)
def scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scenario files would give: reading them takes another process."""
    monkeypatch.setattr(plan, "read_scenarios", lambda _: CLASSES)


def test_shares_add_up_over_all_classes() -> None:
    more = ScenarioClass("MoreUser", {"cart.get": 100.0})
    assert plan.shares_of([*CLASSES, more], Config()) == {
        "cart.get": 0.8,
        "cart.add": 0.1,
        "session.get": 0.1,
    }


def test_a_share_is_the_least_of_the_backends() -> None:
    """A class that PostgreSQL alone serves takes its part of the arrivals there."""
    books = StoreNeed("books", "postgres", has_factory=True)
    search = ScenarioClass("SearchUser", {"catalogue.search": 100.0}, (books,))
    assert plan.shares_of([*CLASSES, search], Config()) == {
        "cart.get": 0.3,
        "cart.add": 0.1,
        "session.get": 0.1,
        "catalogue.search": 0.5,
    }


def test_a_row_per_pattern_and_what_takes_longest() -> None:
    code, output = run_verb("plan", "--rate", "200", "--limit", "10ms", "--warm-up", "5")
    assert code == 0
    assert [line.split()[0:2] for line in output.splitlines() if line.startswith(" cart.")] == [
        ["cart.get", "120.0"],
        ["cart.add", "40.0"],
    ]
    assert "p99.9 takes longest" in output
    assert "--run-time" in output
    assert "design effect 2" in output


def test_limits_of_the_settings_and_a_run_that_is_long_enough(tmp_path: Path) -> None:
    (tmp_path / "loadtests.toml").write_text("[slo.backends.postgres]\np90_ms = 3\n")
    _, output = run_verb("plan", "--rate", "4000", "--run-time", "300", "--max-extension", "0")
    head = next(line for line in output.splitlines() if "access pattern" in line)
    assert head.split()[2:] == ["calls/s", "p90", "p99", "errors"]
    assert "A run of 300 s is long enough." in output
    assert "error probability 0.05" in output


def test_what_no_run_decides() -> None:
    _, output = run_verb("plan", "--limit", "10ms", "--exceedance", "0.01")
    assert "Never decided with that chance: cart.get p99, cart.add p99, session.get p99" in output


@pytest.mark.parametrize("text", ["0", "-5ms", "ten", "nan", "inf", "10 parsecs", ""])
def test_a_limit_that_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time above 0"):
        plan.Milliseconds().convert(text, None, None)


def test_units() -> None:
    values = [plan.Milliseconds().convert(text, None, None) for text in ("10", "10ms", "0.01s")]
    assert values == [10.0, 10.0, 10.0]


def test_a_run_within_its_warm_up() -> None:
    with pytest.raises(ConfigError, match="not longer than warm_up"):
        run_verb("plan", "--run-time", "5", "--warm-up", "5")
