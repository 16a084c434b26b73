"""`loadtests compare --interleave X Y`: two subjects called in one run, which this makes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.cli.options import SCENARIOS
from loadtests.cli.runs.factories import settled
from loadtests.cli.runs.locust_process import LocustProcess
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config, load_config
from loadtests.errors import ConfigError, ResultsError, UsageError
from loadtests.judge.comparison import ComparedSubject
from loadtests.load.child_environment import new_run_id
from loadtests.load.subjects import alternation_of, run_subjects
from loadtests.measure.results import Run, read_info, read_run
from loadtests.patterns import selected_backends
from loadtests.targets.supervisor.client import open_endpoints

SIMULTANEOUS: Final = "simultaneous"
LEAST_PAIRS: Final = 10  # fewer do not show autocorrelation (judge/stats/autocorrelation.py)
# two subjects share the machine: less than the gate's rate, for longer
OWN_DEFAULTS: Final[Mapping[str, object]] = {"rate": 200.0, "run_time": 180.0}
_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A finished run of two subjects; `second` is held against `first`."""

    run: Run
    first: ComparedSubject
    second: ComparedSubject
    advice: str


def interleave(
    config: Config, scenarios: tuple[str, ...], users: int | None, processes: int | None
) -> Interleaved:
    """Start the databases that the subjects need, run both, take the databases down.

    Raises LoadtestsError.
    """
    subjects = run_subjects(config)
    advice = _advice(config)
    path = _drive(config, scenarios or SCENARIOS, users, processes)
    first, second = (ComparedSubject(one.backend, one.driver) for one in subjects)
    return Interleaved(read_run(path), first, second, advice)


def interleave_config(
    first: str, second: str, blocks: str | None, flags: Mapping[str, Any]
) -> Config:
    """The settings for two subjects, who are known to exist. Raises ConfigError, UsageError."""
    asked: dict[str, Any] = {**flags, "subjects": f"{first} {second}"}
    asked["blocks"] = "0" if blocks == SIMULTANEOUS else blocks
    if blocks is not None and blocks != SIMULTANEOUS and not blocks.isdecimal():
        raise UsageError(
            f"--blocks {blocks}: not a number of whole seconds.",
            hint=f"Write 1 or more, or `{SIMULTANEOUS}`. Times are logged by the second.",
        )
    for name, value in OWN_DEFAULTS.items():
        if asked.get(name) is None and not os.environ.get(f"LOADTESTS_{name.upper()}"):
            asked[name] = value
    config = settled(load_config(asked))
    least_s = config.load.warm_up + _unit_s(config)
    if config.load.run_time < least_s:
        raise ConfigError(
            "The configuration",
            [f"--run-time: {config.load.run_time:g} s leave no time to measure both subjects"],
            hint=f"Run {_whole_run_s(config, LEAST_PAIRS)} s or more.",
        )
    return config


def _advice(config: Config) -> str:
    """What to say of a run too short for any interval; empty when it is not."""
    units = (config.load.run_time - config.load.warm_up) / _unit_s(config)
    if units >= LEAST_PAIRS:
        return ""
    what = "pairs of blocks" if alternation_of(config) else "seconds"
    return (
        f"{math.floor(units)} {what} are measured, and intervals need {LEAST_PAIRS}: "
        f"--run-time {_whole_run_s(config, LEAST_PAIRS)} or more."
    )


def _unit_s(config: Config) -> int:
    """How long it takes to measure both subjects once."""
    turns = alternation_of(config)
    return 2 * turns.block_s if turns else 1


def _whole_run_s(config: Config, units: int) -> int:
    unit_s = _unit_s(config)
    return (math.ceil(config.load.warm_up / unit_s) + units) * unit_s


def _drive(
    config: Config, scenarios: tuple[str, ...], users: int | None, processes: int | None
) -> Path:
    """The finished run folder."""
    run_id = new_run_id("+".join(Path(file).stem for file in scenarios))
    path = Path(config.results).absolute() / run_id
    backends = selected_backends(config.load.backend)
    with (
        Screen() as screen,
        open_endpoints(config, backends, on_progress=screen.progress) as endpoints,
        LocustProcess(config, endpoints, scenarios, run_id, users, processes) as locust,
    ):
        _follow(config, path, locust, screen)
        screen.notice("Ending the run")
        locust.finish()
    if not (path / "run.json").exists():
        raise ResultsError(f"Locust wrote no run folder at {path}.", hint=locust.last_words())
    return path


def _follow(config: Config, path: Path, locust: LocustProcess, screen: Screen) -> None:
    screen.plan(config.load.run_time, config.load.warm_up)
    while locust.running():
        screen.wait(_POLL_S)
        if not (path / "run.json").exists():
            continue
        info = read_info(path)
        screen.show(info)
        if info.duration_s >= config.load.run_time:
            return
