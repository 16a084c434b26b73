"""Baselines: run folders kept under a name, that later runs are held against."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.measure.results import Run


@dataclass(frozen=True, slots=True)
class Baseline:
    """Runs under a name; several let the variation between runs into the interval."""

    name: str
    runs: tuple[Run, ...]
