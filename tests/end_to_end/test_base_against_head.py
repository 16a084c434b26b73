"""Two trees of one package in one run, as a user starts it, on the real DynamoDB Local."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from loadtests.measure.results import read_run
from loadtests.patterns import CART_PATTERNS
from loadtests.targets.endpoints import Endpoints
from tests.end_to_end.children import Children
from tests.end_to_end.test_interleave import calls_by_second, driver_by_second

# a store says of itself how long its calls took on the wire: the mark of its tree
STORES = """
from loadtests.stores.open import open_cart_store
from split_shop.mark import WIRE_MS

class MarkedCarts:
    wire_ns = WIRE_MS * 1_000_000

    def __init__(self, inner):
        self._inner = inner

    def get(self, *arguments):
        return self._inner.get(*arguments)

    def get_item(self, *arguments):
        return self._inner.get_item(*arguments)

    def add(self, *arguments):
        return self._inner.add(*arguments)

    def update(self, *arguments):
        return self._inner.update(*arguments)

    def remove(self, *arguments):
        return self._inner.remove(*arguments)

    def close(self):
        self._inner.close()

def make(endpoints):
    return MarkedCarts(open_cart_store("wire", endpoints)), None

make.backend = "dynamodb"
"""
MARKS_MS = {"base": 1, "head": 3}


@pytest.fixture
def trees(tmp_path: Path) -> dict[str, Path]:
    """Two folders with one package, which differ in one constant."""
    for name, wire_ms in MARKS_MS.items():
        package = tmp_path / name / "split_shop"
        package.mkdir(parents=True)
        (package / "carts.py").write_text(STORES)
        (package / "mark.py").write_text(f"WIRE_MS = {wire_ms}\n")
    return {name: tmp_path / name for name in MARKS_MS}


def test_each_tree_is_called_in_its_turns_by_a_process_of_its_own(
    children: Children, endpoints: Endpoints, trees: dict[str, Path]
) -> None:
    assert endpoints.dynamodb
    _, output = children.loadtests(
        *("compare", "--interleave", *(f"{n}={p}:split_shop.carts:make" for n, p in trees.items())),
        *("--rate", "60", "--run-time", "5", "--warm-up", "1", "--scenario", "scenarios/cart.py"),
        environ={"LOADTESTS_DYNAMODB_ENDPOINT": endpoints.dynamodb.url},
    )
    run = read_run(children.results / "latest")
    assert run.info.state == "complete", output
    series = {(s.driver, s.pattern): s for s in run.info.series}
    assert set(series) == {(name, pattern) for name in MARKS_MS for pattern in CART_PATTERNS}
    assert not any(s.errors for s in series.values()), "each has carts of its own"
    # each was made by its own tree
    wire_ms = {
        name: {round(s.wire_time_ms.p50) for (driver, _), s in series.items()
               if driver == name and s.wire_time_ms}
        for name in MARKS_MS
    }  # fmt: skip
    assert wire_ms == {name: {wire} for name, wire in MARKS_MS.items()}, output
    # in its own turns, by the clock that both processes share
    turns = driver_by_second(run)
    for name, other in (("base", "head"), ("head", "base")):
        calls = calls_by_second(run, name)
        in_turn = sum(n for second, n in calls.items() if turns.get(second, name) == name)
        assert in_turn > 0.9 * sum(calls.values()), output
        late = [second for second in calls if turns.get(second) == other]
        assert all(turns.get(second - 1) == name for second in late)
    # every arrival and every second of both processes is there
    assert run.info.validity
    broken = {reason.rule for reason in run.info.validity.reasons}
    assert not broken & {"scheduled arrivals", "missing seconds", "lost worker", "free users"}
    assert run.info.config.workers == 2
    assert [(s.name, s.tree) for s in run.info.subjects] == [(n, str(p)) for n, p in trees.items()]
    assert "dynamodb/head over dynamodb/base" in output
    assert processes_of(children.results) == []


def processes_of(results: Path) -> list[str]:
    """Processes that have the results folder in their command line."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(results) in line]
