"""What would end a run in an error is looked for before any database starts.

Nothing is said after five minutes that could be said before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.scenarios import read_scenarios
from loadtests.config import Config
from loadtests.errors import ConfigError, ResultsError, UsageError
from loadtests.judge.baseline import refuse_baseline
from loadtests.load.subjects import recorded, run_subjects
from loadtests.measure.environment import describe_environment
from loadtests.measure.results import RunConfig, RunInfo

BENCHMARKS: Final = Path("bench/bench_access_patterns.py")
_BENCHMARK_PACKAGES: Final = ("pytest", "pytest_benchmark", "aioboto3", "asyncpg")
_LEAST_FREE_BYTES: Final = 8 << 20


def check_run(config: Config, plan: LoadPlan, *, micro: bool = False) -> None:
    """Check everything about a run that needs no database. Raises LoadtestsError."""
    load = config.load
    if load.run_time <= load.warm_up:
        raise ConfigError(
            "The configuration",
            [f"run_time ({load.run_time:g} s) is not longer than warm_up ({load.warm_up:g} s)"],
            hint="Run longer, or give a shorter --warm-up.",
        )
    check_results_folder(Path(config.results))
    if micro:
        refuse_without_benchmarks()
    subjects = len(run_subjects(config))
    refuse_baseline(config, planned_run(config, plan))
    classes = len(read_scenarios(plan.scenarios))
    least = classes * subjects * (plan.processes or 1)
    if plan.users is not None and plan.users < least:
        raise UsageError(
            f"--users {plan.users}: each user class has its own users for each backend and"
            f" process, {least} at least.",
            hint=f"Give --users {least} or more, or leave it out: the default suffices.",
        )


def planned_run(config: Config, plan: LoadPlan) -> RunInfo:
    """What is known of a run before it is made."""
    settings = config.model_dump(mode="json", include={"data"})
    settings |= {"load": recorded(config, config.load.run_time)["load"]}
    return RunInfo(
        id="this run",
        scenario=plan.name,
        state="running",
        started_at="",
        warm_up_s=config.load.warm_up,
        config=RunConfig.model_validate({**settings, "workers": plan.processes or 1}),
        environment=describe_environment(),
    )


def check_results_folder(folder: Path) -> None:
    """Raise ResultsError where run folders cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65_536)
            file.flush()
        free = os.statvfs(folder)
    except FileExistsError:
        raise ResultsError(
            f"The results folder {folder} is no folder.", hint="Name another with --results."
        ) from None
    except OSError as error:
        raise ResultsError(
            f"The results folder {folder} cannot be written: {error.strerror}.",
            hint="Name another with --results, or give this user the right to write there.",
        ) from None
    if free.f_bavail * free.f_frsize < _LEAST_FREE_BYTES:
        raise ResultsError(
            f"The disk of the results folder {folder} is full:"
            f" {free.f_bavail * free.f_frsize / 2**20:.0f} MiB are free.",
            hint="Remove old run folders, or name another folder with --results.",
        )


def refuse_without_benchmarks() -> None:
    """Raise UsageError where the micro-benchmarks cannot run."""
    if not BENCHMARKS.exists():
        raise UsageError(
            f"There is no {BENCHMARKS} here, so there is nothing for --micro to run.",
            hint="Run the gate in the project's own folder, or leave --micro out.",
        )
    missing = missing_packages(_BENCHMARK_PACKAGES)
    if missing:
        raise UsageError(
            f"--micro needs {', '.join(missing)}, not installed here.",
            hint=f"Install it (pip install {' '.join(missing)}), or leave --micro out.",
        )


def missing_packages(names: Sequence[str]) -> list[str]:
    """Those that cannot be imported."""
    return [name for name in names if find_spec(name) is None]
