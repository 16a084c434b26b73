"""Turns a scenario into a capacity run: rising steps of rate instead of one rate.

A scenario puts `CapacityRamp` before its user class (`scenarios/capacity.py`). Importing this
module adds the flags to Locust; `--rate` is the last step's rate.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from locust import events
from locust.env import Environment
from locust.runners import Runner, WorkerRunner

from loadtests.config import Config, load_config
from loadtests.errors import UsageError
from loadtests.load.declared_stores import subjects_of_class
from loadtests.load.locust.assignment import backends_of
from loadtests.load.locust.options import CAPACITY_FLAGS, add_settings, config_of
from loadtests.load.locust.session import exit_on_error
from loadtests.load.locust.users import OpenLoopUser
from loadtests.load.schedule.arrivals import Segment
from loadtests.load.schedule.steps import length_s, plan_of, profile_of
from loadtests.measure.results import StepInfo


class CapacityRamp:
    """Mixed into an `OpenLoopUser`: arrivals come in steps of rising rate."""

    @classmethod
    def profile(cls, config: Config, backend: str) -> tuple[Segment, ...]:
        """A warm-up at the first rate, then every step; one backend after the other."""
        return profile_of(config, backend, _backends(cls, config))

    @classmethod
    def steps(cls, config: Config) -> list[StepInfo]:
        """Every step of every backend, in order of time."""
        return plan_of(config, _backends(cls, config))


def _backends(cls: type, config: Config) -> tuple[str, ...]:
    """The backends that a class is called on, in the project's order."""
    if not issubclass(cls, OpenLoopUser):
        return backends_of(config)
    called = {subject.backend for subject in subjects_of_class(cls.described(), config)}
    return tuple(backend for backend in backends_of(config) if backend in called)


def _on_parser(parser: ArgumentParser, **_: Any) -> None:
    if not os.environ.get("LOADTESTS_RATE"):
        parser.set_defaults(rate=load_config().capacity.to)
    group = parser.add_argument_group("CloudShelf capacity run", "The last step's rate is --rate.")
    add_settings(group, CAPACITY_FLAGS)


def _on_init(environment: Environment, runner: Runner, **_: Any) -> None:
    ramps = [cls for cls in environment.user_classes if issubclass(cls, CapacityRamp)]
    options = environment.parsed_options
    if not ramps or options is None or isinstance(runner, WorkerRunner):
        return
    config = config_of(options)
    if len(ramps) < len(environment.user_classes):
        raise UsageError(
            "A capacity scenario was started together with other scenarios.",
            hint="Give -f scenarios/capacity.py alone.",
        )
    if config.load.subjects:
        raise UsageError(
            "A capacity run calls one subject at a time.",
            hint="Leave out --subjects; make one run for each.",
        )
    longest_s = length_s(config, _backends(ramps[0], config))
    if options.headless and not options.run_time:
        options.run_time = longest_s


events.init_command_line_parser.add_listener(exit_on_error(_on_parser))
events.init.add_listener(exit_on_error(_on_init))
