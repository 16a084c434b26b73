"""Locust as a child of a verb: its command line, and its end in good order."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from loadtests.cli.runs.child_process import ChildProcess
from loadtests.cli.subjects.settling import SubjectProcess
from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError
from loadtests.interpreter import TREE_VARIABLE, module_command
from loadtests.load.child_environment import (
    SERVED_SUBJECT_VARIABLE,
    SUBJECT_FACTS_VARIABLE,
    environment_for_child,
)
from loadtests.load.locust.verb_child import MODULE as VERB_CHILD
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.process import LOOPBACK, free_port

_MARGIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What Locust gets beyond the configuration; None leaves it to the harness.

    `variables` are settings that only some scenarios know as flags. `subjects` are those that have
    a process each; where there are none, one cluster calls all of them.
    """

    scenarios: tuple[str, ...]
    users: int | None = None
    processes: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    subjects: tuple[SubjectProcess, ...] = ()

    @property
    def name(self) -> str:
        """The scenarios' names, as run folders have it."""
        return "+".join(Path(file).stem for file in self.scenarios)


class LocustProcess(ChildProcess):
    """A headless Locust that runs until `finish`, and dies with this process at the latest."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        super().__init__(command, environment, end_with=signal.SIGTERM)

    def finish(self) -> None:
        """End the run and wait for its folder. Raises LoadtestsError with Locust's own message."""
        if self.end() == EXIT_ERROR:
            raise self.failure()

    def failure(self) -> LoadtestsError:
        """The error that it reported, else the end of its output."""
        message, hint = self.reported_error()
        return LoadtestsError(
            message or "Locust could not run the scenario.",
            hint=hint or self.end_of_output(),
        )


class SubjectCluster:
    """A Locust master that makes no load, and a worker for each subject; they end together.

    All are children of this process: none outlives it.
    """

    def __init__(self, config: Config, endpoints: Endpoints, plan: LoadPlan, run_id: str) -> None:
        environment = environment_for_child(endpoints, run_id) | dict(plan.variables)
        port = str(free_port())
        # the master imports the scenario too, and shares no code with a subject but the last one's
        last = plan.subjects[-1]
        facts = json.dumps([each.info.model_dump(mode="json") for each in plan.subjects])
        with ExitStack() as stack:
            self._master = stack.enter_context(
                LocustProcess(
                    [
                        *locust_command(config, plan, python=last.python),
                        *("--master", "--master-bind-host", LOOPBACK, "--master-bind-port", port),
                        *("--expect-workers", str(len(plan.subjects))),
                    ],
                    environment | {SUBJECT_FACTS_VARIABLE: facts, TREE_VARIABLE: last.tree},
                )
            )
            self._workers = {
                each.name: stack.enter_context(
                    LocustProcess(
                        [
                            *_scenario_command(plan, each.python),
                            *("--worker", "--master-host", LOOPBACK, "--master-port", port),
                        ],
                        environment
                        | {SERVED_SUBJECT_VARIABLE: each.name, TREE_VARIABLE: each.tree},
                    )
                )
                for each in plan.subjects
            }
            self._stack = stack.pop_all()

    def running(self) -> bool:
        """Whether the master and every worker are there."""
        return self._master.running() and not self._ended_worker()

    def finish(self) -> None:
        """End the run and wait for its folder.

        Raises LoadtestsError with the master's message, or that of a worker which ended by itself.
        """
        ended = self._ended_worker() if self._master.running() else ""
        self._master.finish()
        if ended and (code := self._workers[ended].end()) > 0:
            failure = self._workers[ended].failure()
            raise LoadtestsError(
                f"The process of {ended} ended (code {code}): {failure.message}", hint=failure.hint
            )

    def end_of_output(self) -> str:
        """The last lines of a worker that has ended, else of the master."""
        ended = self._ended_worker()
        return (self._workers[ended] if ended else self._master).end_of_output()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _ended_worker(self) -> str:
        """The name of a worker that has ended; empty while all run."""
        return next((name for name, each in self._workers.items() if not each.running()), "")


def start_locust(
    config: Config, endpoints: Endpoints, plan: LoadPlan, run_id: str
) -> LocustProcess | SubjectCluster:
    """Start the processes that make the load of a run."""
    if plan.subjects:
        return SubjectCluster(config, endpoints, plan, run_id)
    environment = environment_for_child(endpoints, run_id) | dict(plan.variables)
    return LocustProcess(locust_command(config, plan), environment)


def locust_command(config: Config, plan: LoadPlan, *, python: str = sys.executable) -> list[str]:
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
    command = _scenario_command(plan, python)
    command += ["--headless", "--only-summary", "--no-report", "--no-provision"]
    for option, value in options.items():
        command += [] if value is None else [option, str(value)]
    return command


def _scenario_command(plan: LoadPlan, python: str) -> list[str]:
    return module_command(VERB_CHILD, "-f", ",".join(plan.scenarios), python=python)
