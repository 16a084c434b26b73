"""One load run, followed through the run folder that it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from loadtests.cli.runs.children import Children
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config
from loadtests.errors import ResultsError
from loadtests.load.child_environment import new_run_id
from loadtests.measure.results import RunInfo, read_info
from loadtests.targets.endpoints import Endpoints

POLL_S: Final = 0.25


class LocustRun:
    """A run that a verb starts, follows and ends."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        plan: LoadPlan,
        *,
        screen: Screen,
        children: Children,
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._plan = plan
        self._screen = screen
        self._children = children
        self._run_id = new_run_id(plan.name)
        self.path = Path(config.results).absolute() / self._run_id

    def follow(self, on_info: Callable[[RunInfo], bool]) -> Path:
        """Run Locust until `on_info` says that it is enough, or Locust ends; the run folder.

        `on_info` gets the run's figures so far, four times per second. Raises LoadtestsError when
        Locust cannot run the scenario, ResultsError when it leaves no run folder.
        """
        with self._children.load(self._config, self._endpoints, self._plan, self._run_id) as locust:
            while locust.running():
                self._children.pause(POLL_S)
                if not (self.path / "run.json").exists():
                    continue
                info = read_info(self.path)
                self._screen.show(info)
                if on_info(info):
                    break
            self._screen.notice("Ending the run")
            locust.finish()
        if not (self.path / "run.json").exists():
            raise ResultsError(
                f"Locust wrote no run folder at {self.path}.", hint=locust.end_of_output()
            )
        return self.path
