"""The figures of every run over time, and their change points.

Change points come from Apache Otava (E-divisive with a t-test), if it is installed. Otava pins old
versions of packages that only its command line needs, so it is not a dependency:
`CHANGE_POINTS_HINT` says how to install it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.errors import ResultsError, UsageError
from loadtests.judge.fingerprint import fingerprint
from loadtests.measure.results import Key, RunInfo, read_info

CHANGE_POINTS_HINT: Final = "pip install --no-deps apache-otava"
MIN_RUNS: Final = 8  # fewer runs show no change point
_WINDOW: Final = 30
_P_VALUE: Final = 0.001
_MIN_CHANGE: Final = 0.02

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """From run `index` on (0 is the oldest), a figure is higher by `change` (0.2: +20%)."""

    index: int
    change: float


def read_history(results: Path, scenario: str | None = None) -> tuple[list[RunInfo], list[str]]:
    """Every finished run of a results folder, oldest first, and an error for each unreadable one.

    Copies of a run, which have its id, count once. Raises ResultsError when there is no such
    folder.
    """
    if not results.is_dir():
        raise ResultsError(f"There is no folder {results}.", hint="Name one with --results.")
    runs: list[RunInfo] = []
    unreadable: list[str] = []
    for file in sorted(results.glob("*/run.json")):
        if file.parent.is_symlink():
            continue
        try:
            info = read_info(file.parent)
        except ResultsError as error:
            unreadable.append(error.message)
            continue
        if info.state != "running" and scenario in {None, info.scenario}:
            runs.append(info)
    once = {info.id: info for info in runs}
    return sorted(once.values(), key=lambda info: (info.started_at, info.id)), unreadable


def comparable_runs(runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Runs with the scenario, load, targets and machine of the newest; versions may differ."""
    if not runs:
        return []
    newest = _conditions(runs[-1])
    return [run for run in runs if _conditions(run) == newest]


def _conditions(info: RunInfo) -> dict[str, str]:
    versions = (
        "environment.packages",
        "environment.loadtests",
        "environment.python",
        "environment.kernel",
    )
    fields = fingerprint(info)
    return {name: text for name, text in fields.items() if not name.startswith(versions)}


def figures_of(info: RunInfo, metric: str = "response_time") -> dict[Key, Figures]:
    """The percentiles of every series of one run, in milliseconds."""
    figures = {}
    for series in info.series:
        times = series.times(metric)
        if times is not None:
            key = series.key(metric)
            figures[key] = {
                "p50": times.p50,
                "p90": times.p90,
                "p99": times.p99,
                "p99.9": times.p999,
            }
    return figures


def change_points(values: Sequence[float]) -> list[ChangePoint]:
    """The change points of a figure; none for fewer than eight values.

    Raises UsageError when Otava is not installed.
    """
    try:
        from otava.analysis import compute_change_points
    except ImportError:
        raise UsageError(
            "Change points need Apache Otava, which is not installed.", hint=CHANGE_POINTS_HINT
        ) from None
    if len(values) < MIN_RUNS:
        return []
    window = min(_WINDOW, len(values))
    points, _ = compute_change_points(list(values), window, _P_VALUE, _MIN_CHANGE)
    return [ChangePoint(int(p.index), p.stats.mean_2 / p.stats.mean_1 - 1.0) for p in points]


def can_find_change_points() -> bool:
    """Whether Otava is installed."""
    return importlib.util.find_spec("otava") is not None
