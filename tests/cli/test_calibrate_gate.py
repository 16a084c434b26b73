"""`loadtests calibrate gate`: the command, on a short recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtests.cli.calibrate import command
from loadtests.errors import ResultsError
from tests.run_folders import made_series, write_run


def test_it_prints_the_tables(tmp_path: Path) -> None:
    series = made_series(["cart.get", "session.get"], rate_per_s=40.0)
    run = write_run(tmp_path / "run", series=series, seconds=90)
    arguments = ["gate", str(run.path), "--comparisons", "2", "--seconds", "30", "--processes", "2"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None
    assert "**Coverage of 95% intervals** (2 resampled runs" in result.stdout


@pytest.mark.parametrize(("skip", "seconds"), [("0", 12), ("80", 10)])
def test_too_short_a_recording_is_refused(tmp_path: Path, skip: str, seconds: int) -> None:
    length = seconds + int(skip)
    short = write_run(tmp_path / "run", series=made_series(["cart.get"]), seconds=length)
    arguments = ["gate", str(short.path), "--skip", skip]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(result.exception, ResultsError)
    assert f"holds {seconds} s" in result.exception.message


def test_without_a_subcommand_it_calibrates_against_scripted_servers() -> None:
    result = CliRunner().invoke(command, ["--script", "unknown"])
    assert result.exit_code == 2
    assert "Invalid value for '--script'" in result.output
