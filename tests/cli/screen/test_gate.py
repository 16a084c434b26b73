"""The figures that the terminal shows while a run goes on."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from loadtests.cli.screen.gate import Screen
from loadtests.measure.results import RunInfo
from tests.run_folders import MadeSeries, made_series, write_run


def shown(info: RunInfo) -> str:
    out = io.StringIO()
    with Screen(Console(file=out, width=200)) as screen:
        screen.plan(60.0, 3.0)
        screen.show(info)
    return out.getvalue()


def test_two_drivers_of_a_backend_are_told_apart(tmp_path: Path) -> None:
    series = [MadeSeries(driver="wire"), MadeSeries(driver="boto3")]
    text = shown(write_run(tmp_path / "run", series=series, seconds=12).info)
    assert "dynamodb/boto3: " in text
    assert "dynamodb/wire: " in text


def test_one_driver_needs_no_name(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path / "run", series=made_series(["cart.get"]), seconds=12).info)
    assert "dynamodb: " in text
    assert "postgres: " in text


def test_a_series_without_times_shows_no_figures(tmp_path: Path) -> None:
    info = write_run(tmp_path / "run", series=made_series(["cart.get"]), seconds=12).info
    bare = [series.model_copy(update={"response_time_ms": None}) for series in info.series]
    assert "Measuring" in shown(info.model_copy(update={"series": bare}))
