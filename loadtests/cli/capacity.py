"""`loadtests capacity`: climb until something gives out, and say what it was, and where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from loadtests.cli.options import (
    TARGET_SETTINGS,
    capacity_scenario_option,
    processes_option,
    setting_options,
    users_option,
)
from loadtests.cli.runs.closing import Ended, finish, show_closing, show_run
from loadtests.cli.runs.interim_capacity import look_at_climb
from loadtests.cli.runs.locust_process import LocustProcess
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config, load_config
from loadtests.errors import ResultsError, UsageError
from loadtests.judge.capacity.answer import capacity_of, measured_in, store_capacity_run
from loadtests.load.child_environment import new_run_id
from loadtests.load.schedule.steps import lead_s, length_s, rates_of
from loadtests.measure.results import RunInfo, read_info, read_run
from loadtests.patterns import selected_backends
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.client import open_endpoints

_POLL_S: Final = 0.25
_CLOSED_S: Final = 0.05


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN…]", type=click.Path(path_type=Path))
@setting_options(
    "backend",
    "from",
    "to",
    "growth",
    "step_time",
    "settle",
    "driver",
    "arrivals",
    "warm_up",
    "seed",
    *TARGET_SETTINGS,
    "results",
)
@users_option
@processes_option
@capacity_scenario_option
def command(
    runs: tuple[Path, ...], scenario: str, users: int | None, processes: int | None, **flags: Any
) -> int:
    """Find the highest rate that keeps the promise, and what gives out beyond it.

    The storefront's mix comes in rising steps of rate, on one database after the other. Each step
    is judged by itself: it keeps the promise when its p99 is surely within the limit and the load
    was carried; a step at which the load generator was the bottleneck is named so. Two steps in a
    row that break the promise badly, or in which the generator gave out, end the climb. With RUN…,
    judge and report such runs again.

    \b
    Exit codes
      0  the promise holds at some rate
      1  it breaks at the first step already
      2  usage, configuration or target error
      3  no step could be decided: give them more time (--step-time)
      4  the generator gave out before the database at the first step, or the run is invalid
    """  # noqa: D301 (click's mark for text kept as it is)
    config = load_config(flags)
    if runs:
        return show_closing([finish(_climb_at(path), config, None) for path in runs])
    load = config.load.model_copy(update={"rate": config.capacity.to})
    config = config.model_copy(update={"load": load})
    rates_of(config)  # refused before anything is started
    if config.load.subjects:
        raise UsageError(
            "A capacity run climbs on one subject at a time.",
            hint="Take `subjects` out of loadtests.toml and LOADTESTS_SUBJECTS.",
        )
    backends = selected_backends(load.backend)
    with (
        Screen() as screen,
        open_endpoints(config, backends, on_progress=screen.progress) as endpoints,
    ):
        paths = [
            _climb(_alone(config, backend), endpoints, (scenario, users, processes), screen)
            for backend in backends
        ]
    return _close(paths, config)


def _alone(config: Config, backend: str) -> Config:
    """The settings of one backend's climb, which takes as long as it takes."""
    load = {"backend": backend, "run_time": float(length_s(config, [backend]))}
    return config.model_copy(update={"load": config.load.model_copy(update=load)})


def _climb(
    config: Config,
    endpoints: Endpoints,
    plan: tuple[str, int | None, int | None],
    screen: Screen,
) -> Path:
    """The finished run folder of one backend."""
    scenario, users, processes = plan
    climb = config.capacity
    run_id = new_run_id(Path(scenario).stem)
    path = Path(config.results).absolute() / run_id
    # not by flags: a scenario that does not climb knows none of these
    variables = {
        "LOADTESTS_FROM": str(climb.from_),
        "LOADTESTS_GROWTH": str(climb.growth),
        "LOADTESTS_STEP_TIME": str(climb.step_time),
        "LOADTESTS_SETTLE": str(climb.settle),
    }
    with LocustProcess(
        config, endpoints, (scenario,), run_id, users, processes, variables
    ) as locust:
        _watch(config, path, locust, screen)
        screen.notice("Ending the climb")
        locust.finish()
    if not (path / "run.json").exists():
        raise ResultsError(f"Locust wrote no run folder at {path}.", hint=locust.last_words())
    return path


def _watch(config: Config, path: Path, locust: LocustProcess, screen: Screen) -> None:
    """Follow the climb; leave when its last step has ended or going on would only hammer."""
    seen = 0
    screen.notice(f"Capacity run on {config.load.backend}, {len(rates_of(config))} steps at most")
    screen.plan(config.load.run_time, lead_s(config))
    while locust.running():
        screen.wait(_POLL_S)
        if not (path / "run.json").exists():
            continue
        info = read_info(path)
        screen.show(info)
        if info.duration_s and not info.steps:
            raise UsageError(
                f"The scenario {info.scenario} does not climb.",
                hint="Put CapacityRamp before its user class, as scenarios/capacity.py does.",
            )
        ended = _ended(info)
        if ended == seen:
            continue
        look = look_at_climb(path, config)
        for sentence in look.sentences[seen:]:
            screen.notice(sentence)
        seen = max(ended, len(look.sentences))
        if look.over or seen >= len(info.steps):
            return


def _ended(info: RunInfo) -> int:
    return sum(info.duration_s + _CLOSED_S >= step.end_s for step in info.steps)


def _close(paths: Sequence[Path], config: Config) -> int:
    """Judge all, show each run the others' steps beside its own, report; the exit code."""
    capacity_runs = [
        capacity_of(read_run(path), config.slo, config.gate.confidence) for path in paths
    ]
    ended: list[Ended] = []
    for path in paths:
        others = [
            measured_in(capacity_run, other.name)
            for other, capacity_run in zip(paths, capacity_runs, strict=True)
            if other != path
        ]
        run, verdict = store_capacity_run(
            read_run(path), config.slo, config.gate.confidence, others
        )
        ended.append(show_run(run, verdict))
    return show_closing(ended)


def _climb_at(path: Path) -> Path:
    if not read_info(path).steps:
        raise ResultsError(
            f"{path} is no capacity run: its run.json has no steps.",
            hint="`loadtests gate RUN` judges other runs.",
        )
    return path
