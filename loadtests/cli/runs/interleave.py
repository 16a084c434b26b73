"""The run of `loadtests compare --interleave X Y`: two subjects called in one run."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from loadtests.cli.runs.children import Children
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.locust_run import LocustRun
from loadtests.cli.screen.gate import Screen
from loadtests.cli.subjects.settling import SubjectProcess, probe_processes, settle_subjects
from loadtests.config import Config, load_config
from loadtests.errors import ConfigError, UsageError
from loadtests.judge.comparison import ComparedSubject
from loadtests.load.preconditions import check_before_start
from loadtests.load.subjects import alternation_of, run_subjects
from loadtests.measure.results import Run, read_run
from loadtests.patterns import selected_backends
from loadtests.stores.factories import is_factory
from loadtests.stores.open import ASYNC_DRIVERS
from loadtests.targets.endpoints import Endpoints

SIMULTANEOUS: Final = "simultaneous"
MIN_PAIRS: Final = 10  # fewer do not show autocorrelation (judge/stats/autocorrelation.py)
# two subjects share the machine: less than the gate's rate, for longer
OWN_DEFAULTS: Final[Mapping[str, object]] = {"rate": 200.0, "run_time": 180.0}
BASE: Final = "base"
HEAD: Final = "head"


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A finished run of two subjects; `second` is compared with `first`."""

    run: Run
    first: ComparedSubject
    second: ComparedSubject
    advice: str


def interleave(config: Config, plan: LoadPlan, children: Children) -> Interleaved:
    """Start the databases that the subjects need, run both, take the databases down.

    Raises LoadtestsError.
    """
    check_before_start(config, plan.users)
    children.check_run(config, plan)
    backends = selected_backends(config.load.backend)
    with (
        Screen() as screen,
        children.open_endpoints(
            config, backends, on_progress=screen.progress, probe=probe_of(config, plan)
        ) as endpoints,
    ):
        run = LocustRun(config, endpoints, plan, screen=screen, children=children)
        if advice := _advice(config):
            screen.notice(advice)
        screen.plan(config.load.run_time, config.load.warm_up)
        path = run.follow(lambda info: info.duration_s >= config.load.run_time)
    first, second = (
        ComparedSubject(subject.backend, subject.driver) for subject in run_subjects(config)
    )
    return Interleaved(read_run(path), first, second, _advice(config))


def probe_of(config: Config, plan: LoadPlan) -> Callable[[Endpoints], None] | None:
    """Calls the subjects that have processes of their own; None where no subject has."""
    return partial(probe_processes, config, plan.subjects) if plan.subjects else None


def refuse_processes(processes: int | None) -> None:
    """Raise UsageError for more than one process per subject."""
    if (processes or 1) > 1:
        raise UsageError(
            f"--processes {processes}: each named subject has one process.", hint="Leave it out."
        )


def interleave_config(
    first: str,
    second: str,
    *,
    blocks: str | None,
    pythons: Sequence[str],
    flags: Mapping[str, object],
    defaults: Mapping[str, object] = OWN_DEFAULTS,
) -> tuple[Config, tuple[SubjectProcess, ...]]:
    """The settings for two subjects, which are known to exist, and the processes of named ones.

    Raises ConfigError, UsageError.
    """
    settings: dict[str, object] = {**flags, "subjects": shlex.join([first, second])}
    settings["blocks"] = "0" if blocks == SIMULTANEOUS else blocks
    if blocks is not None and blocks != SIMULTANEOUS and not blocks.isdecimal():
        raise UsageError(
            f"--blocks {blocks}: not a number of whole seconds.",
            hint=f"Write 1 or more, or `{SIMULTANEOUS}`. Times are logged by the second.",
        )
    for name, value in defaults.items():
        if settings.get(name) is None and not os.environ.get(f"LOADTESTS_{name.upper()}"):
            settings[name] = value
    config, processes = settle_subjects(load_config(settings), pythons)
    least_s = config.load.warm_up + _unit_s(config)
    if config.load.run_time < least_s:
        raise ConfigError(
            "The configuration",
            [f"--run-time: {config.load.run_time:g} s leave no time to measure both subjects"],
            hint=f"Run {_whole_run_s(config, MIN_PAIRS)} s or more.",
        )
    return config, processes


def against_config(
    folder: str, *, pythons: Sequence[str], flags: Mapping[str, object]
) -> tuple[Config, tuple[SubjectProcess, ...]]:
    """The settings for the factory that is the driver, as `folder` has it and as it is here.

    The limits apply to what is here alone. Raises ConfigError, UsageError.
    """
    factory = load_config(flags).load.driver
    if not is_factory(factory):
        raise UsageError(
            f"--against compares two versions of your own stores; {factory} is the harness's.",
            hint="Name a factory: --driver package.module:factory.",
        )
    config, (base, head) = interleave_config(
        f"{BASE}={folder}:{factory}",
        f"{HEAD}=.:{factory}",
        blocks=None,
        pythons=pythons,
        flags=flags,
        defaults={},
    )
    info = base.info.model_copy(update={"judged": False})
    return config, (replace(base, info=info), head)


def _advice(config: Config) -> str:
    """What to change so that the comparison says more; empty if there is nothing."""
    return " ".join(filter(None, (_length_advice(config), _metric_advice(config))))


def _metric_advice(config: Config) -> str:
    """Advice where only one of the two drivers is called in another thread."""
    awaited = [each.client for each in run_subjects(config) if each.client in ASYNC_DRIVERS]
    if len(awaited) != 1:
        return ""
    return (
        f"Response times through {awaited[0]} contain the hand-over to its thread; service times"
        " (--metric service_time) do not."
    )


def _length_advice(config: Config) -> str:
    """Advice where the run is too short for any interval."""
    units = (config.load.run_time - config.load.warm_up) / _unit_s(config)
    if units >= MIN_PAIRS:
        return ""
    what = "pairs of blocks" if alternation_of(config) else "seconds"
    return (
        f"{math.floor(units)} {what} are measured, and intervals need {MIN_PAIRS}: "
        f"--run-time {_whole_run_s(config, MIN_PAIRS)} or more."
    )


def _unit_s(config: Config) -> int:
    """The seconds that it takes to measure both subjects once."""
    turns = alternation_of(config)
    return 2 * turns.block_s if turns else 1


def _whole_run_s(config: Config, units: int) -> int:
    unit_s = _unit_s(config)
    return (math.ceil(config.load.warm_up / unit_s) + units) * unit_s
