from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from loadtests.errors import ResultsError, UsageError
from loadtests.judge.history import change_points, comparable_runs, figures_of, read_history
from loadtests.measure.results import Key, Run
from tests.known import known
from tests.run_folders import made_series, write_run


def a_run(path: Path, day: int, **settings: Any) -> Run:
    return write_run(
        path,
        series=made_series(["cart.get"], rate_per_s=20.0),
        seconds=2,
        seed=day,
        started_at=f"2026-03-{day:02}T09:00:00Z",
        **settings,
    )


def test_runs_come_oldest_first_and_the_unreadable_are_told(tmp_path: Path) -> None:
    for name, day in (("b", 1), ("a", 3), ("c", 2)):
        a_run(tmp_path / name, day)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "run.json").write_text("{")
    a_run(tmp_path / "going", 4, state="running")
    runs, unreadable = read_history(tmp_path)
    assert [run.id for run in runs] == ["b", "c", "a"]
    assert len(unreadable) == 1
    assert "cut short" in unreadable[0]
    assert read_history(tmp_path, "other")[0] == []


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no folder"):
        read_history(tmp_path / "nowhere")


def test_versions_may_differ_and_load_may_not(tmp_path: Path) -> None:
    old = a_run(tmp_path / "a", 1, environment={"packages": {"locust": "2.46"}}).info
    other = a_run(tmp_path / "b", 2, config={"load": {"rate": 9.0}}).info
    new = a_run(tmp_path / "c", 3).info
    assert [run.id for run in comparable_runs([old, other, new])] == ["a", "c"]
    assert comparable_runs([]) == []


def test_figures_are_the_runs_own(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", 1)
    key = Key("dynamodb", "wire", "cart.get", "response_time")
    assert figures_of(run.info)[key]["p99"] == known(run.info.series[0].response_time_ms).p99


def test_without_otava_the_hint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otava", None)
    monkeypatch.setitem(sys.modules, "otava.analysis", None)
    with pytest.raises(UsageError) as caught:
        change_points([1.0] * 10)
    assert "apache-otava" in caught.value.hint


def test_change_points_carry_place_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with Otava's signature and return type; the real one where it is installed."""
    asked = []

    def compute_change_points(
        series: list[float], window_len: int, max_pvalue: float, min_magnitude: float
    ) -> tuple[list[SimpleNamespace], None]:
        asked.append((len(series), window_len))
        return [SimpleNamespace(index=6, stats=SimpleNamespace(mean_1=2.0, mean_2=2.5))], None

    module = ModuleType("otava.analysis")
    monkeypatch.setattr(module, "compute_change_points", compute_change_points, raising=False)
    monkeypatch.setitem(sys.modules, "otava", ModuleType("otava"))
    monkeypatch.setitem(sys.modules, "otava.analysis", module)
    found = change_points([2.0] * 6 + [2.5] * 6)
    assert [(one.index, one.change) for one in found] == [(6, 0.25)]
    assert asked == [(12, 12)]
    assert change_points([1.0] * 7) == []


def test_the_real_library_finds_a_step() -> None:
    pytest.importorskip("otava.analysis")
    rng = random.Random(1)
    values = [rng.gauss(10, 0.3) for _ in range(12)] + [rng.gauss(12, 0.3) for _ in range(10)]
    found = change_points(values)
    assert [one.index for one in found] == [12]
    assert found[0].change == pytest.approx(0.2, abs=0.05)
