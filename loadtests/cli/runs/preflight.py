"""What would end a run in an error is looked for before any database starts.

Nothing is said after five minutes that could be said before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.scenarios import read_scenarios
from loadtests.config import Config
from loadtests.errors import ConfigError, UsageError
from loadtests.judge.baseline import refuse_baseline
from loadtests.load.declared_stores import (
    ScenarioClass,
    declared_patterns,
    served_patterns,
    subjects_of_class,
)
from loadtests.load.preconditions import check_limit_names
from loadtests.load.subjects import recorded
from loadtests.measure.environment import describe_environment
from loadtests.measure.results import RunConfig, RunInfo
from loadtests.measure.run_folder import require_results_folder

BENCHMARKS: Final = Path("bench/bench_access_patterns.py")
_BENCHMARK_PACKAGES: Final = ("pytest", "pytest_benchmark", "aioboto3", "asyncpg")


def check_run(config: Config, plan: LoadPlan, *, micro: bool = False) -> None:
    """Check everything about a run that needs no database. Raises LoadtestsError."""
    load = config.load
    if load.run_time <= load.warm_up:
        raise ConfigError(
            "The configuration",
            [f"run_time ({load.run_time:g} s) is not longer than warm_up ({load.warm_up:g} s)"],
            hint="Run longer, or give a shorter --warm-up.",
        )
    require_results_folder(Path(config.results).absolute())
    if micro:
        refuse_without_benchmarks()
    # as the master reads them, whose modules and Python are those of the last subject
    tree, python = (plan.subjects[-1].tree, plan.subjects[-1].python) if plan.subjects else ("", "")
    classes = read_scenarios(plan.scenarios, tree=tree, python=python or sys.executable)
    check_limit_names(config.slo, declared_patterns(classes))
    streams = sum(len(subjects_of_class(each, config)) for each in classes)
    refuse_baseline(config, planned_run(config, plan, classes))
    least = streams * (plan.processes or 1)
    if plan.users is not None and plan.users < least:
        raise UsageError(
            f"--users {plan.users}: each user class has its own users for each backend and"
            f" process, {least} at least.",
            hint=f"Give --users {least} or more, or leave it out: the default suffices.",
        )


def planned_run(config: Config, plan: LoadPlan, classes: Sequence[ScenarioClass]) -> RunInfo:
    """What is known of a run before it is made."""
    settings = config.model_dump(mode="json", include={"data"})
    settings |= {"load": recorded(config, config.load.run_time)["load"]}
    settings["patterns"] = declared_patterns(classes)
    settings["served"] = served_patterns(classes, config)
    return RunInfo(
        id="this run",
        scenario=plan.name,
        state="running",
        started_at="",
        warm_up_s=config.load.warm_up,
        config=RunConfig.model_validate({**settings, "workers": plan.processes or 1}),
        environment=describe_environment(),
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
