"""Runs a verb in this process, and writes run folders for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from loadtests.cli import root
from loadtests.errors import LoadtestsError
from loadtests.measure.results import Run
from tests.run_folders import made_series, write_run


def run_verb(*arguments: object, children: object = None) -> tuple[int, str]:
    """Exit code and output; raises the harness's own errors, with the output so far as a note."""
    result = CliRunner().invoke(
        root, list(map(str, arguments)), standalone_mode=False, obj=children
    )
    if isinstance(result.exception, LoadtestsError):
        result.exception.add_note(result.output)
        raise result.exception
    assert result.exception is None, result.output
    return result.return_value or 0, result.output


def write_pair(
    path: Path, *, seed: int = 1, by: float = 1.0, verdict: str = "PASS", **settings: Any
) -> Run:
    """A run of cart.get and cart.add on both backends; one series is slower by the factor `by`."""
    series = made_series(["cart.get", "cart.add"], drift=0.02, rate_per_s=200.0, tail_share=0.0)
    series[1] = replace(series[1], median_ms=series[1].median_ms * by)
    return write_run(
        path, series=series, seconds=30, seed=seed, verdict={"status": verdict}, **settings
    )
