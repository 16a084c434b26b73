"""Baselines: run folders kept under a name, that later runs are held against.

::

    results/baseline/<name>/
        baseline.json      when and by what leave its runs were promoted
        <run id>/          run.json and latency.hlog of each
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from loadtests.config import Config
from loadtests.errors import ResultsError, UsageError
from loadtests.judge.fingerprint import differences, refuse_differences
from loadtests.measure.json_files import read_record
from loadtests.measure.results import Run, RunInfo, read_info, read_run

FOLDER: Final = "baseline"
PARTS: Final = ("run.json", "latency.hlog")
PROMOTABLE: Final = ("PASS", "INCONCLUSIVE")
_SCHEMA: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Runs under a name; several let the variation between runs into the interval.

    `refused` says why it cannot be held against a run; it then has no runs.
    """

    name: str
    runs: tuple[Run, ...]
    refused: tuple[str, ...] = ()


class Promotion(BaseModel):
    """baseline.json. `forced` maps a run that did not pass to its status."""

    model_config = ConfigDict(extra="allow")

    schema_version: int = _SCHEMA
    promoted_at: str
    runs: list[str]
    forced: dict[str, str] = {}
    reason: str = ""


def promote(
    paths: Sequence[Path],
    results: Path,
    *,
    name: str | None,
    promoted_at: str,
    force: bool = False,
    reason: str = "",
) -> str:
    """Make these runs the baseline `name` (by default their scenario's), in place of what it was.

    Raises ResultsError for runs that may not be promoted or were not made alike, UsageError for a
    name that cannot be a folder's.
    """
    runs = [read_run(path) for path in paths]
    for one in runs[1:]:
        refuse_differences(one.info, runs[0].info, f"run {runs[0].info.id}")
    forced = {one.info.id: _status(one.info) for one in runs if not _promotable(one.info)}
    if forced and not (force and reason):
        listed = ", ".join(f"{run} ({status})" for run, status in forced.items())
        raise ResultsError(
            f"Not promoted: {listed}.",
            hint="Promote runs that passed; or --force with a --reason, which are recorded.",
        )
    ids = [one.info.id for one in runs]
    if len(set(ids)) < len(ids):
        raise UsageError("The same run was named twice.", hint="Name each run once.")
    name = _checked(name or runs[0].info.scenario)
    record = Promotion(
        promoted_at=promoted_at, runs=ids, forced=forced, reason=reason if forced else ""
    )
    _replace(results / FOLDER / name, runs, record)
    return name


def baseline_names(results: Path) -> list[str]:
    """Every baseline under the results folder."""
    folder = results / FOLDER
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and _NAME.fullmatch(p.name))


def read_promotion(name: str, results: Path) -> Promotion:
    """baseline.json of one. Raises ResultsError."""
    file = results / FOLDER / _checked(name) / "baseline.json"
    known = ", ".join(baseline_names(results)) or "none yet"
    missing = ResultsError(
        f"There is no baseline {name} under {results / FOLDER}.",
        hint=f"Known: {known}. loadtests baseline promote RUN… --name {name} makes it.",
    )
    return read_record(file, Promotion, _SCHEMA, missing)


def read_baseline(name: str, results: Path) -> Baseline:
    """A baseline with its runs. Raises ResultsError."""
    read_promotion(name, results)
    runs = tuple(read_run(path) for path in _run_paths(results / FOLDER / name))
    if not runs:
        raise ResultsError(f"{results / FOLDER / name} holds no runs.", hint="Promote it again.")
    return Baseline(name, runs)


def find_baseline(run: Run, config: Config) -> Baseline | None:
    """The baseline that `gate.baseline` names for this run; None where there is none.

    By name: whatever its conditions (judging refuses unlike ones, with an error). `auto`: the one
    made under the run's conditions; where only unlike ones of its scenario are, the nearest, with
    the fields that differ as `refused`. Raises ResultsError.
    """
    results = Path(config.results)
    if config.gate.baseline == "none":
        return None
    if config.gate.baseline != "auto":
        return read_baseline(config.gate.baseline, results)
    unlike: list[tuple[int, str, list[str]]] = []
    for name in baseline_names(results):
        paths = _run_paths(results / FOLDER / name)
        if not paths:
            continue
        info = read_info(paths[0])
        found = differences(run.info, info)
        if not found:
            return read_baseline(name, results)
        if info.scenario == run.info.scenario:
            unlike.append((len(found), name, found))
    if not unlike:
        return None
    _, name, found = min(unlike)
    return Baseline(name, (), tuple(found))


def _run_paths(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/run.json"))


def _status(info: RunInfo) -> str:
    return info.verdict.status if info.verdict else "not judged"


def _promotable(info: RunInfo) -> bool:
    return _status(info) in PROMOTABLE


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a baseline's name.", hint="Use letters, digits and . _ + -."
        )
    return name


def _replace(folder: Path, runs: Sequence[Run], record: Promotion) -> None:
    """Build the new folder beside the old one, then swap them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        for run in runs:
            target = made / _checked(run.info.id)
            target.mkdir()
            for part in PARTS:
                shutil.copyfile(run.path / part, target / part)
        text = record.model_dump_json(indent=2) + "\n"
        (made / "baseline.json").write_text(text, encoding="utf-8")
        made.chmod(0o755)
        old = made.with_name(made.name.replace(".new-", ".old-"))
        if folder.exists():
            os.replace(folder, old)
        os.replace(made, folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
