"""Runs a verb in this process, and writes run folders for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from loadtests.cli import root
from loadtests.errors import LoadtestsError
from loadtests.judge.storing import store_verdict
from loadtests.measure.results import Run, Status, Verdict
from tests.run_folders import STARTED_AT, made_series, write_run


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
    path: Path,
    *,
    seed: int = 1,
    by: float = 1.0,
    status: Status = "PASS",
    config: Mapping[str, object] | None = None,
    started_at: str = STARTED_AT,
    valid: bool = True,
) -> Run:
    """A run of cart.get and cart.add on both backends; one series is slower by the factor `by`.

    Its verdict is `status`, whatever the figures are.
    """
    series = made_series(["cart.get", "cart.add"], drift=0.02, rate_per_s=200.0, tail_share=0.0)
    series[1] = replace(series[1], median_ms=series[1].median_ms * by)
    run = write_run(
        path,
        series=series,
        seconds=30,
        seed=seed,
        config=config,
        started_at=started_at,
        valid=valid,
    )
    verdict = Verdict(status=status, sentence="", confidence=0.95, level=0.05)
    return store_verdict(run, verdict)


SLOW_MS: Final = 30.0  # a median that breaks every limit


def write_gate_run(
    path: Path,
    *,
    median_ms: float | None = None,
    rate_per_s: float = 200.0,
    seconds: int = 30,
    scenario: str = "cart+session",
    valid: bool = True,
) -> Path:
    """A run of cart.get on both backends, which owes no other pattern; it passes unless slowed."""
    series = [
        replace(
            each,
            drift=0.0,
            tail_share=0.0,
            rate_per_s=rate_per_s,
            median_ms=each.median_ms if median_ms is None else median_ms,
        )
        for each in made_series(["cart.get"])
    ]
    config = {"patterns": ["cart.get"]}
    return write_run(
        path, series=series, seconds=seconds, scenario=scenario, valid=valid, config=config
    ).path
