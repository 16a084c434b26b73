"""Comparable runs beside this one in its results folder, for the history section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.errors import LoadtestsError
from loadtests.judge.history import (
    CHANGE_POINTS_HINT,
    MIN_RUNS,
    ChangePoint,
    can_find_change_points,
    change_points,
    comparable_runs,
    figures_of,
)
from loadtests.measure.results import Key, Run, RunInfo, read_info

MOST_RUNS: Final = 40


@dataclass(frozen=True, slots=True)
class Past:
    """Runs under the same conditions, oldest first, this one last; figures of each series."""

    started: tuple[str, ...]
    values: Mapping[tuple[Key, str], tuple[float | None, ...]]
    changes: Mapping[tuple[Key, str], tuple[ChangePoint, ...]]
    note: str


def read_past(run: Run, metric: str) -> Past | None:
    """At most 40 valid runs up to this one; None when there is no other. Never raises."""
    earlier = [info for info in _siblings(run) if info.validity and info.validity.valid]
    comparable = comparable_runs([*earlier, run.info])
    if len(comparable) < 2:
        return None
    comparable = comparable[-MOST_RUNS:]
    figures = [figures_of(info, metric) for info in comparable]
    keys = {key for percentiles in figures for key in percentiles}
    values = {
        (key, name): tuple(
            percentiles[key][name] if key in percentiles else None for percentiles in figures
        )
        for key in keys
        for name in ("p50", "p99")
    }
    return Past(
        tuple(info.started_at for info in comparable), values, *_changes(values, len(comparable))
    )


def _siblings(run: Run) -> list[RunInfo]:
    """The runs that began before this one, oldest first; unreadable ones are left out."""
    folder = run.path.parent
    # names begin with the time, so the last ones are the newest: no need to read a thousand
    names = sorted(f.parent.name for f in folder.glob("*/run.json") if not f.parent.is_symlink())
    infos = []
    for name in names[-4 * MOST_RUNS :]:
        if name == run.path.name:
            continue
        try:
            info = read_info(folder / name)
        except LoadtestsError:
            continue
        before = info.started_at <= run.info.started_at and info.id != run.info.id
        if info.state != "running" and before:
            infos.append(info)
    once = {info.id: info for info in infos}  # a copy of a run is the same run
    return sorted(once.values(), key=lambda info: (info.started_at, info.id))


def _changes(
    values: Mapping[tuple[Key, str], Sequence[float | None]], runs: int
) -> tuple[dict[tuple[Key, str], tuple[ChangePoint, ...]], str]:
    if runs < MIN_RUNS:
        return {}, f"Change points take at least {MIN_RUNS} runs."
    if not can_find_change_points():
        return {}, f"Change points need Apache Otava: {CHANGE_POINTS_HINT}."
    changes = {}
    for key, series in values.items():
        known = [v for v in series if v is not None]
        if len(known) == len(series):
            try:
                changes[key] = tuple(change_points(known))
            except (ArithmeticError, ValueError, LoadtestsError):
                return {}, "Change points could not be computed."
    return (
        changes,
        "A vertical mark is a change point: from that run on, the figure changed for good.",
    )
