"""Turns a scenario into a capacity run: rising steps of rate instead of one rate.

A scenario puts `CapacityRamp` before its user class (`scenarios/capacity.py`). Importing this
module adds the flags to Locust; `--rate` is the last step's rate.
"""

from __future__ import annotations

import os
from typing import Any

from locust import events
from locust.runners import WorkerRunner

from loadtests.config import Config, load_config
from loadtests.errors import UsageError
from loadtests.load.locust.assignment import backends_of
from loadtests.load.locust.options import CAPACITY_FLAGS, add_settings, config_of
from loadtests.load.plugin import plainly
from loadtests.load.schedule.arrivals import Segment
from loadtests.load.schedule.steps import length_s, plan_of, profile_of


class CapacityRamp:
    """Mixed into an `OpenLoopUser`: arrivals come in steps."""

    @classmethod
    def profile(cls, config: Config, backend: str) -> tuple[Segment, ...]:
        """A warm-up at the first rate, then every step; the backends one after the other."""
        return profile_of(config, backend, backends_of(config))


def _on_parser(parser: Any, **_: Any) -> None:
    if not os.environ.get("LOADTESTS_RATE"):
        parser.set_defaults(rate=load_config().capacity.to)
    group = parser.add_argument_group("CloudShelf capacity run", "The last step's rate is --rate.")
    add_settings(group, CAPACITY_FLAGS)


def _on_init(environment: Any, runner: Any, **_: Any) -> None:
    climbing = [cls for cls in environment.user_classes if issubclass(cls, CapacityRamp)]
    if not climbing or isinstance(runner, WorkerRunner):
        return
    options = environment.parsed_options
    config = config_of(options)
    if len(climbing) < len(environment.user_classes):
        raise UsageError(
            "A climbing scenario was started together with others.",
            hint="Give -f scenarios/capacity.py alone.",
        )
    if config.load.subjects:
        raise UsageError(
            "A capacity run climbs on one subject at a time.",
            hint="Leave out --subjects; run it once for each.",
        )
    longest_s = length_s(config, backends_of(config))
    if options.headless and not options.run_time:
        options.run_time = longest_s

    def tell_steps(**_: Any) -> None:
        steps = plan_of(config_of(options), backends_of(config_of(options)))
        facts = {"steps": [step.model_dump(mode="json") for step in steps]}
        environment.controller.forward({"kind": "info", "facts": facts})

    # after the plugin's own listener, which opens the run folder
    environment.events.test_start.add_listener(tell_steps)


events.init_command_line_parser.add_listener(plainly(_on_parser))
events.init.add_listener(plainly(_on_init))
