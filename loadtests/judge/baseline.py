"""Baselines: run folders under a name, with which later runs are compared.

::

    results/baseline/<name>/
        baseline.json      `Promotion`: when its runs were promoted, and why if by force
        <run id>/          run.json and latency.hlog of each run
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
from loadtests.judge.fingerprint import differences, fingerprint, refuse_differences
from loadtests.measure.results import Run, RunInfo, read_info, read_run
from loadtests.measure.stored_files import read_record

FOLDER: Final = "baseline"
PARTS: Final = ("run.json", "latency.hlog")
OPTIONAL_PARTS: Final = ("undisturbed.hlog",)  # where stalls were measured
PROMOTABLE: Final = ("PASS", "INCONCLUSIVE")
_SCHEMA: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Runs under a name; several runs show the variance between runs.

    `refused` lists why it cannot be compared with a run; it then has no runs.
    """

    name: str
    runs: tuple[Run, ...]
    refused: tuple[str, ...] = ()


class Promotion(BaseModel):
    """baseline.json. `forced` has the status of each run that was not promotable."""

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
    """Make these runs the baseline `name` (by default their scenario), replacing an older one.

    Returns the name. Raises ResultsError for runs that may not be promoted or were measured under
    different conditions, UsageError for an invalid name or a run that is named twice.
    """
    runs = [read_run(path) for path in paths]
    for run in runs[1:]:
        refuse_differences(run.info, runs[0].info, f"run {runs[0].info.id}")
    forced = {run.info.id: _status(run.info) for run in runs if not _promotable(run.info)}
    if forced and not (force and reason):
        listed = ", ".join(f"{run_id} ({status})" for run_id, status in forced.items())
        raise ResultsError(
            f"Not promoted: {listed}.",
            hint="Promote runs that passed, or use --force with a --reason; both are recorded.",
        )
    ids = [run.info.id for run in runs]
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
    """Read baseline.json of a baseline. Raises ResultsError."""
    file = results / FOLDER / _checked(name) / "baseline.json"
    known = ", ".join(baseline_names(results)) or "none yet"
    missing = ResultsError(
        f"There is no baseline {name} under {results / FOLDER}.",
        hint=f"Known: {known}. Create it: loadtests baseline promote RUN… --name {name}.",
    )
    return read_record(file, Promotion, _SCHEMA, missing)


def read_baseline(name: str, results: Path) -> Baseline:
    """Read a baseline with its runs. Raises ResultsError."""
    read_promotion(name, results)
    runs = tuple(read_run(path) for path in _run_paths(results / FOLDER / name))
    if not runs:
        raise ResultsError(f"{results / FOLDER / name} holds no runs.", hint="Promote it again.")
    return Baseline(name, runs)


def find_baseline(run: Run, config: Config) -> Baseline | None:
    """The baseline that `gate.baseline` selects for this run; None if there is none.

    A name selects that baseline; judging raises an error if its conditions differ. `auto` selects
    the one with the run's conditions. If there are only others of its scenario, it returns the most
    similar one without runs, with the fields that differ as `refused`. Raises ResultsError.
    """
    results = Path(config.results)
    if config.gate.baseline == "none":
        return None
    if config.gate.baseline != "auto":
        return read_baseline(config.gate.baseline, results)
    different: list[tuple[int, str, list[str]]] = []
    for name in baseline_names(results):
        paths = _run_paths(results / FOLDER / name)
        if not paths:
            continue
        info = read_info(paths[0])
        fields = differences(run.info, info)
        if not fields:
            return read_baseline(name, results)
        if info.scenario == run.info.scenario:
            different.append((len(fields), name, fields))
    if not different:
        return None
    _, name, fields = min(different)
    return Baseline(name, (), tuple(fields))


def refuse_baseline(config: Config, planned: RunInfo) -> None:
    """Raise ResultsError where the baseline that `gate.baseline` names will not fit a run.

    `planned` has what is known of the run before it is made; only that is compared.
    """
    name = config.gate.baseline
    if name in ("none", "auto"):
        return
    results = Path(config.results)
    read_promotion(name, results)
    paths = _run_paths(results / FOLDER / name)
    if not paths:
        raise ResultsError(f"{results / FOLDER / name} holds no runs.", hint="Promote it again.")
    stored, ours = fingerprint(read_info(paths[0])), fingerprint(planned)
    known = (
        *("scenario", "config.load.", "config.data.", "config.workers", "environment."),
        "patterns",
    )
    fields = [
        f"{field}: {value}, {stored[field]}"
        for field, value in ours.items()
        if field.startswith(known) and stored.get(field, value) != value
    ]
    if fields:
        raise ResultsError(
            f"This run could not be compared with baseline {name} (this run, the baseline):\n"
            + "\n".join(f"  {line}" for line in fields),
            hint="Set gate.baseline to `auto` or another name, or run under its conditions.",
        )


def _run_paths(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/run.json"))


def _status(info: RunInfo) -> str:
    status = info.verdict.status if info.verdict else "not judged"
    # a limit may hold in spite of delays, but a comparison with them would hide a slowdown
    delayed = status in PROMOTABLE and info.validity is not None and not info.validity.valid
    return f"{status}, though its generator added delay" if delayed else status


def _promotable(info: RunInfo) -> bool:
    return _status(info) in PROMOTABLE


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid baseline name.", hint="Use letters, digits and . _ + -."
        )
    return name


def _replace(folder: Path, runs: Sequence[Run], record: Promotion) -> None:
    """Build the new folder beside the old one, then swap them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        for run in runs:
            target = new / _checked(run.info.id)
            target.mkdir()
            for part in PARTS:
                shutil.copyfile(run.path / part, target / part)
            for part in OPTIONAL_PARTS:
                if (run.path / part).exists():
                    shutil.copyfile(run.path / part, target / part)
        text = record.model_dump_json(indent=2) + "\n"
        (new / "baseline.json").write_text(text, encoding="utf-8")
        new.chmod(0o755)
        old = new.with_name(new.name.replace(".new-", ".old-"))
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
