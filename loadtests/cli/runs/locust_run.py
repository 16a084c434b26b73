"""One load run, followed through the run folder that it writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from loadtests.cli.runs.children import Children, LoadChild
from loadtests.cli.runs.interruption import StopRequest, end_verb, stop_on_signal
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config
from loadtests.errors import LoadtestsError, ResultsError
from loadtests.load.child_environment import new_run_id
from loadtests.measure.results import RunInfo, read_info
from loadtests.targets.endpoints import Endpoints

POLL_S: Final = 0.25
STARTING_S: Final = 90.0  # the longest until the run folder appears,
SILENT_S: Final = 60.0  # and without a further second in it
_INTERRUPTED: Final = "Interrupted: what was measured is judged. A second Ctrl-C ends at once."


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
        self.interrupted = False

    def follow(self, on_info: Callable[[RunInfo], bool]) -> Path:
        """Run Locust until `on_info` says that it is enough, or Locust ends; the run folder.

        `on_info` gets the run's figures so far, four times per second. The first Ctrl-C or SIGTERM
        ends the run and sets `interrupted`. Raises LoadtestsError when Locust cannot run the
        scenario or hangs, ResultsError when it leaves no run folder, KeyboardInterrupt when the
        user ends a run that has measured nothing.
        """
        with (
            stop_on_signal() as stop,
            self._children.load(self._config, self._endpoints, self._plan, self._run_id) as locust,
        ):
            self._watch(locust, on_info, stop)
            self._screen.notice("Ending the run")
            locust.finish()
        if not self._info_file.exists():
            raise ResultsError(
                f"Locust wrote no run folder at {self.path}.", hint=locust.end_of_output()
            )
        return self.path

    @property
    def _info_file(self) -> Path:
        return self.path / "run.json"

    def _watch(
        self, locust: LoadChild, on_info: Callable[[RunInfo], bool], stop: StopRequest
    ) -> None:
        """Follow the run to its end. Raises LoadtestsError where nothing more comes of it."""
        measured = False
        duration_s, changed_s = 0.0, time.monotonic()
        while locust.running():
            self._children.pause(POLL_S)
            if stop.signal is not None:
                if not measured:
                    end_verb(stop.signal)
                self.interrupted = True
                self._screen.notice(_INTERRUPTED)
                return
            if self._info_file.exists():
                info = read_info(self.path)
                measured = any(series.count for series in info.series)
                self._screen.show(info)
                if on_info(info):
                    return
                if info.duration_s > duration_s:
                    duration_s, changed_s = info.duration_s, time.monotonic()
            longest_s = SILENT_S if duration_s else STARTING_S
            if time.monotonic() - changed_s > longest_s:
                raise LoadtestsError(
                    f"Locust has not {'measured' if duration_s else 'begun'} anything for"
                    f" {longest_s:.0f} s.",
                    hint=locust.end_of_output(),
                )
