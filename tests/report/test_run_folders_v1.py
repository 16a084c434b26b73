"""Run folders of schema version 1: they are read, judged and reported with the same figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from loadtests.cli.gate import command as gate
from loadtests.cli.report import command as report
from loadtests.measure.results import SCHEMA, read_run, summarise
from loadtests.measure.schema_v1 import upgraded
from loadtests.patterns import METRICS
from loadtests.report.figures.ratios import NOT_STORED
from loadtests.report.page import build_page

DATA: Final = Path(__file__).parents[1] / "data" / "run_folders_v1"
RUNS: Final = ("load", "capacity", "micro")
EXIT_CODES: Final = {"load": 3, "capacity": 0, "micro": 4}


@pytest.fixture(params=RUNS)
def name(request: pytest.FixtureRequest) -> str:
    """One of the stored run folders."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where no loadtests.toml is found."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(DATA / name, tmp_path / "results" / name))


def expected(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / "expected" / f"{name}.json").read_text())
    return data


def stored(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return data


def test_it_is_read_with_the_figures_of_its_log(name: str, folder: Path) -> None:
    run = read_run(folder)
    assert (run.info.schema_version, stored(folder)["schema_version"]) == (SCHEMA, 1)
    for series in run.info.series:
        assert series.count
        for metric in METRICS:
            assert series.times(metric) == summarise(run.total(series.key(metric)))
    assert {target.where for target in run.info.targets.values()} == {"embedded"}
    assert run.info.monotonic_ns if name != "micro" else run.info.micro


def test_it_is_judged_as_before(name: str, folder: Path) -> None:
    done = CliRunner().invoke(gate, [str(folder)], catch_exceptions=False, standalone_mode=False)
    assert done.return_value == EXIT_CODES[name], done.output
    now, before = stored(folder), upgraded({"schema_version": 1} | expected(name))
    assert now["schema_version"] == SCHEMA
    assert_contains(now, {field: value for field, value in before.items() if value})


def assert_contains(now: Any, before: Any) -> None:
    """Every field and item of `before` is in `now`, which may have more fields.

    Sentences may be worded in another way.
    """
    if isinstance(before, dict):
        for field in before.keys() - {"sentence"}:
            assert_contains(now[field], before[field])
    elif isinstance(before, list):
        assert len(now) == len(before)
        for ours, theirs in zip(now, before, strict=True):
            assert_contains(ours, theirs)
    elif isinstance(before, float):  # bounds of a proportion come from another library
        assert now == pytest.approx(before, rel=1e-9)
    else:
        assert now == before


def test_it_is_reported_with_the_same_figures(name: str, folder: Path) -> None:
    CliRunner().invoke(gate, [str(folder)], catch_exceptions=False, standalone_mode=False)
    for file in ("report.html", "summary.md", "junit.xml", "metrics.prom"):
        assert (folder / file).stat().st_size
    before = (DATA / "expected" / f"{name}.csv").read_text().splitlines()
    now = (folder / "series.csv").read_text().splitlines()
    # columns are only added, and only at the end
    columns = before[0].count(",") + 1
    assert [line.split(",")[:columns] for line in now] == [line.split(",") for line in before]


def test_a_report_alone_leaves_run_json_as_it_is(folder: Path) -> None:
    before = (folder / "run.json").read_bytes()
    done = CliRunner().invoke(report, [str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert (folder / "run.json").read_bytes() == before


def test_only_judging_again_compares_the_backends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(DATA / "load", tmp_path / "load"))
    assert build_page(read_run(folder)).versus.sentence == NOT_STORED
    CliRunner().invoke(gate, [str(folder)], catch_exceptions=False, standalone_mode=False)
    versus = build_page(read_run(folder)).versus
    assert versus.sentence.startswith("DynamoDB takes ")
    assert stored(folder)["head_to_head"]["metric"] == "response_time"
