"""Locust as a child of a verb: its command line, and its end in good order."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests.cli.runs.child_process import ChildProcess
from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError
from loadtests.interpreter import module_command
from loadtests.load.child_environment import environment_for_child
from loadtests.load.locust.verb_child import MODULE as VERB_CHILD
from loadtests.targets.endpoints import Endpoints

_MARGIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What Locust gets beyond the configuration; None leaves it to the harness.

    `variables` are settings that only some scenarios know as flags.
    """

    scenarios: tuple[str, ...]
    users: int | None = None
    processes: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scenarios' names, as run folders have it."""
        return "+".join(Path(file).stem for file in self.scenarios)


class LocustProcess(ChildProcess):
    """A headless Locust that runs until `finish`, and dies with this process at the latest."""

    def __init__(self, config: Config, endpoints: Endpoints, plan: LoadPlan, run_id: str) -> None:
        environment = environment_for_child(endpoints, run_id) | dict(plan.variables)
        super().__init__(locust_command(config, plan), environment, end_with=signal.SIGTERM)

    def finish(self) -> None:
        """End the run and wait for its folder. Raises LoadtestsError with Locust's own message."""
        if self.end() == EXIT_ERROR:
            message, hint = self.reported_error()
            raise LoadtestsError(
                message or "Locust could not run the scenario.",
                hint=hint or self.end_of_output(),
            )


def locust_command(config: Config, plan: LoadPlan) -> list[str]:
    """The command line of a Locust that makes the load, and neither provisions nor judges."""
    load = config.load
    longest_s = load.run_time + config.gate.max_extension + _MARGIN_S
    options = {
        "--run-time": f"{longest_s:.0f}s",
        "--backend": load.backend,
        "--driver": load.driver,
        "--rate": load.rate,
        "--arrivals": load.arrivals,
        "--warm-up": load.warm_up,
        "--seed": load.seed,
        "--zipf-exponent": load.zipf_exponent,
        "--results": config.results,
        "--subjects": load.subjects or None,
        "--blocks": load.blocks,
        "--users": plan.users or None,
        "--processes": plan.processes if (plan.processes or 1) > 1 else None,
    }
    command = module_command(VERB_CHILD, "-f", ",".join(plan.scenarios))
    command += ["--headless", "--only-summary", "--no-report", "--no-provision"]
    for option, value in options.items():
        command += [] if value is None else [option, str(value)]
    return command
