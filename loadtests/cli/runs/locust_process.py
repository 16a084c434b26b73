"""Locust as the gate's child: told what to do by flags and environment, ended in good order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from typing import Final

from loadtests.cli.runs.child_process import ChildProcess
from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError
from loadtests.load.child_environment import environment_for_child
from loadtests.targets.endpoints import Endpoints

_MARGIN_S: Final = 60.0


class LocustProcess(ChildProcess):
    """A headless Locust that runs until `finish`, and dies with this process at the latest."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        scenarios: tuple[str, ...],
        run_id: str,
        users: int | None,
        processes: int | None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        load = config.load
        longest_s = load.run_time + config.gate.max_extension + _MARGIN_S
        command = [
            sys.executable, "-m", "locust", "-f", ",".join(scenarios),
            "--headless", "--only-summary", "--no-report", "--no-provision",
            "--run-time", f"{longest_s:.0f}s",
            "--backend", load.backend, "--driver", load.driver, "--rate", str(load.rate),
            "--arrivals", load.arrivals, "--warm-up", str(load.warm_up), "--seed", str(load.seed),
            "--results", config.results,
            *(["--subjects", load.subjects] if load.subjects else []),
            *(["--blocks", str(load.blocks)] if load.blocks is not None else []),
            *(["--users", str(users)] if users else []),
            *(["--processes", str(processes)] if processes and processes > 1 else []),
        ]  # fmt: skip
        environment = environment_for_child(endpoints, run_id) | dict(variables or {})
        super().__init__(command, environment, end_with=signal.SIGTERM)

    def finish(self) -> None:
        """End the run and wait for its folder. Raises LoadtestsError with what Locust said."""
        if self.end() == EXIT_ERROR:
            message, hint = self.told_error()
            raise LoadtestsError(
                message or "Locust could not run the scenario.", hint=hint or self.last_words()
            )
