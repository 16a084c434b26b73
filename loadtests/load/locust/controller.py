"""Controls the runs of one Locust process: targets, scribe, users, begin, end and verdict.

A single process and a cluster's master own the run folder. A worker's controller makes load and
passes its intervals on (`cluster.py`).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import gevent
from gevent.lock import Semaphore
from locust.env import Environment

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, EXIT_INVALID, LoadtestsError, UsageError
from loadtests.interpreter import module_command
from loadtests.load.child_environment import (
    inherited_endpoints,
    inherited_subjects,
    may_rehearse,
    run_id_for,
)
from loadtests.load.declared_stores import (
    ScenarioClass,
    declared_patterns,
    served_patterns,
)
from loadtests.load.locust.assignment import UserAssignment, backends_of
from loadtests.load.locust.faults import FaultWatch
from loadtests.load.locust.locust_stats import copy_to_locust
from loadtests.load.locust.session import LoadSession, exit_on_error
from loadtests.load.locust.users import OpenLoopUser
from loadtests.load.loop.priority import raise_priority
from loadtests.load.loop.run import LoadRun
from loadtests.load.loop.scribe_client import SCRIBE_LOST, ScribeClient
from loadtests.load.preconditions import check_before_start
from loadtests.load.scenario_hooks import ScenarioHooks
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import probe_subjects, recorded
from loadtests.measure.environment import describe_environment, describe_targets
from loadtests.measure.messages import (
    Frame,
    LiveFigures,
    OpenRun,
    OpenWorker,
    ScenarioFailed,
    parse_live,
    parse_locust,
)
from loadtests.measure.results import RunConfig, RunInfo, ScenarioError, StepInfo
from loadtests.model import to_iso_seconds
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import Progress
from loadtests.targets.seed.dataset import make_dataset
from loadtests.targets.supervisor.client import open_endpoints, seed_again

_log: Final = logging.getLogger("loadtests")
SINGLE: Final = "generator"
JOIN_S: Final = 10.0


class ProgressLog:
    """An `OnProgress` that logs when a set-up step begins and ends, and passes each step on."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self._begun: set[str] = set()
        self._on_step = on_step

    def __call__(self, progress: Progress) -> None:
        """Log a step's begin and end."""
        share = f", {progress.done:,} of {progress.total:,}" if progress.total else ""
        self._on_step(f"{progress.step}{share}")
        if progress.step not in self._begun:
            self._begun.add(progress.step)
            _log.info("%s", progress.step)
        elif progress.total and progress.done == progress.total:
            _log.info("%s: done", progress.step)


class RunController:
    """One per process. `path` is None between runs; `last_path` is the newest run's folder.

    `preparing` is what happens before a run can begin, empty otherwise. `on_begin` is called at
    time 0 of each run.
    """

    def __init__(self, session: LoadSession, scenario: str) -> None:
        self.session = session
        self.environment = session.environment
        self.scenario = scenario
        self.path: Path | None = None
        self.last_path: Path | None = None
        self.preparing = ""
        self.faults = FaultWatch()
        self.on_begin: Callable[[], None] | None = None
        self.on_interval: Callable[[str], None] | None = None  # set on workers
        self.on_fault: Callable[[ScenarioError], None] | None = None  # set on workers
        # set on workers: waits until all of them can begin, gives time 0 of the run in ns
        self.await_start: Callable[[], int | None] | None = None
        self._live_line = b""
        self._stack = ExitStack()
        self._endpoints: Endpoints | None = None
        self._opened_for: Config | None = None
        self._scribe: ScribeClient | None = None
        self._run: LoadRun | None = None
        self._ending = Semaphore(1)
        self._users: UserAssignment | None = None
        self._called: Endpoints | None = None
        self._rehearsed: Endpoints | None = None  # databases that this process has rehearsed on
        self.may_rehearse = may_rehearse(os.environ)
        self._hooks = ScenarioHooks(self.user_classes, self._show_step)

    # --- targets

    def open_targets(self, config: Config, *, provision: bool) -> Endpoints:
        """Start or reach the databases, seed them, and let the scenario prepare its own tables.

        Databases stay open as long as the settings stay the same. Raises LoadtestsError.
        """
        wanted = _without_rate(config)
        if self._endpoints is not None and wanted == self._opened_for:
            if self.last_path and provision:  # a run has changed the carts: restore them
                seed_again(config, self._endpoints, on_progress=ProgressLog(self._show_step))
        else:
            options = self.environment.parsed_options
            check_before_start(config, getattr(options, "num_users", None))
            self.close_targets()
            self._endpoints = inherited_endpoints(os.environ) or self._stack.enter_context(
                open_endpoints(
                    config,
                    backends_of(config),
                    provision=provision,
                    on_progress=ProgressLog(self._show_step),
                    probe=partial(probe_subjects, config),
                )
            )
            self._opened_for = wanted
        if self.last_path or not self._hooks.is_prepared:
            self._hooks.prepare(self._endpoints)
        return self._endpoints

    def close_targets(self) -> None:
        """Let the scenario clean up, and stop the databases that were started."""
        try:
            self._hooks.clean_up()
        finally:
            self._stack.close()
            self._endpoints = None

    def _show_step(self, step: str) -> None:
        if self.preparing:
            self.preparing = step

    # --- one run

    def forget_last_run(self) -> None:
        """A run is asked for: what the last one showed is old from now on."""
        self.preparing = "starting"
        self.faults = FaultWatch()
        self._live_line = b""

    @property
    def is_rehearsing(self) -> bool:
        """Whether databases are called at full speed before time 0."""
        return self._run is not None and self._run.state == "rehearsing"

    @property
    def user_classes(self) -> list[type[OpenLoopUser]]:
        """The scenario's user classes, all of them open loop."""
        return [cls for cls in self.environment.user_classes if issubclass(cls, OpenLoopUser)]

    @property
    def described_classes(self) -> list[ScenarioClass]:
        """The user classes as plain data."""
        return [cls.described() for cls in self.user_classes]

    def _steps(self, config: Config) -> list[StepInfo]:
        """The plan of a capacity run; empty for a run at one rate."""
        return next((steps for cls in self.user_classes if (steps := cls.steps(config))), [])

    def open_folder(self, config: Config, endpoints: Endpoints, workers: list[str]) -> None:
        """Start the scribe that owns a new run folder."""
        now = datetime.now(UTC)
        makes_load = workers == [SINGLE]
        scheduling = raise_priority() if makes_load else "each worker's own"
        run_id = run_id_for(self.scenario, os.environ)
        self.path = self.last_path = Path(config.results).absolute() / run_id
        self._live_line = b""
        info = RunInfo(
            id=run_id,
            scenario=self.scenario,
            state="running",
            started_at=to_iso_seconds(now),
            warm_up_s=config.load.warm_up,
            config=_public(config, self.environment, workers, self.described_classes),
            environment=describe_environment().model_copy(
                update={"generator_scheduling": scheduling}
            ),
            targets=describe_targets(endpoints.described()),
            steps=self._steps(config),
            subjects=inherited_subjects(os.environ),
        )
        called = served_patterns(self.described_classes, config)
        rate_per_s = config.load.rate * len(called) / len(workers)
        self._scribe = ScribeClient(exit_on_error(self._on_line))
        self._scribe.send(
            OpenRun(
                path=str(self.path),
                info=info,
                started_at_s=now.timestamp(),
                rate_per_s=dict.fromkeys(workers, rate_per_s),
            )
        )
        _log.info("Results go to %s", self.path)

    def open_relay(self, worker: str) -> None:
        """Start the scribe of a cluster's worker."""
        raise_priority()
        self._scribe = ScribeClient(exit_on_error(self._on_line))
        self._scribe.send(OpenWorker(worker=worker))

    def make_load(
        self, config: Config, endpoints: Endpoints, worker: str, share: WorkerShare
    ) -> None:
        """Build the dispatchers and user groups; arrivals start with `begin`.

        A scribe must have been started, by `open_folder` or `open_relay`.
        """
        if self._scribe is None:
            raise RuntimeError("No scribe has been started for this run.")
        self._run = LoadRun(scribe=self._scribe, worker=worker, warm_up_s=config.load.warm_up)
        dataset = make_dataset(config.data, config.load.seed, datetime.now(UTC))
        self._users = self.session.users = UserAssignment(
            config, endpoints, dataset, self._run, self.user_classes, share, self.report_fault
        )
        self._called = endpoints

    def begin(self) -> None:
        """Every user has joined: rehearse on databases that are fresh, then start the arrivals."""
        if self._run and self._run.state == "new":
            # not here: Locust handles no message of the master before this returns
            gevent.spawn(exit_on_error(self._begin), self._run)

    def _begin(self, run: LoadRun) -> None:
        # whatever a new process finds running may be warm; its own code and connections are not
        if self._users and self.may_rehearse and self._called != self._rehearsed:
            self._rehearsed = self._called
            self._users.rehearse()
        self._check_users()
        origin_ns = self.await_start() if self.await_start else None
        if run is self._run and run.state == "new":  # it may have been ended meanwhile
            run.begin(origin_ns)
            if self.on_begin:
                self.on_begin()

    def _check_users(self) -> None:
        """Refuse a run in which nobody would take some of the arrivals."""
        empty: list[str] = []
        with gevent.Timeout(JOIN_S, False):
            # users join in greenlets of their own
            while (
                self._users
                and self._run
                and ((empty := self._users.empty_groups()) or self._users.is_joining)
            ):
                gevent.sleep(0.02)
        if empty and self._run:
            self.session.abort(
                UsageError(
                    f"No user is there for {' and '.join(empty)}.",
                    hint="Raise --users; each scenario class needs one for each database it calls.",
                )
            )

    def finish(self) -> None:
        """End the run and wait for its folder; a second caller waits for the first."""
        with self._ending:
            run, self._run = self._run, None
            scribe, self._scribe = self._scribe, None
            if scribe is None:
                return
            if run:
                run.finish()
            complete = run is None or run.state == "finished"
            try:
                scribe.finish("complete" if complete else "interrupted")
            except LoadtestsError as error:
                _log.error("%s %s", error.message, error.hint)
                self.session.exit_code = EXIT_INVALID

    def forward(self, frame: Frame, payload: bytes = b"") -> None:
        """Pass a worker's frame on to the scribe (master)."""
        if self._scribe:
            self._scribe.send(frame, payload)

    def report_fault(self, fault: ScenarioError) -> None:
        """Log an error of the scenario's own code and store it, once for each kind."""
        if not self.faults.note(fault):
            return
        if self.on_fault:  # the master logs it
            self.on_fault(fault)
            return
        _log.error(
            "%s on %s: the scenario raised %s (%s)\n%s",
            *(fault.pattern, fault.backend, fault.name, fault.place, fault.trace),
        )
        self.forward(ScenarioFailed(fault))

    @property
    def live(self) -> LiveFigures | None:
        """The figures of the run so far; None before the first second has ended."""
        return parse_live(self._live_line) if self._live_line else None

    def _on_line(self, kind: str, content: bytes) -> None:
        if kind == "locust":
            entries = parse_locust(content)
            copy_to_locust(self.environment.stats, entries)
            self.faults.count(entries)
            error = self.faults.verdict()
            if error and self._run:  # a worker, or the only process
                self.session.abort(error)
        elif kind == SCRIBE_LOST:
            self.session.abort(
                LoadtestsError(
                    "The process that writes the run folder ended; nothing more can be recorded.",
                    hint="Its message is in the output above. Is the disk full?",
                )
            )
        elif kind == "live":
            self._live_line = content  # parsed when the web UI asks
        elif kind == "interval" and self.on_interval:
            self.on_interval(content.decode())


def _without_rate(config: Config) -> Config:
    """The settings that decide whether open databases can be used again; the rate does not."""
    return config.model_copy(update={"load": config.load.model_copy(update={"rate": 1.0})})


def _public(
    config: Config, environment: Environment, workers: list[str], classes: list[ScenarioClass]
) -> RunConfig:
    """The settings without the DSN, which may hold a password; and what the scenario calls."""
    options = environment.parsed_options
    stored = {"data", "slo", "gate", "limits_from"}
    settings = config.model_dump(mode="json", by_alias=True, include=stored)
    settings |= recorded(config, getattr(options, "run_time", None))
    settings["users"] = getattr(options, "num_users", None)
    settings["run_time_s"] = getattr(options, "run_time", None)
    settings["workers"] = len(workers)
    settings["patterns"] = declared_patterns(classes)
    settings["served"] = served_patterns(classes, config)
    return RunConfig.model_validate(settings)


def judge(path: Path, *, quietly: bool = False) -> int:
    """Judge and report a finished run in a separate process; returns the verdict's exit code.

    `quietly` leaves standard output to what Locust writes there (--json).
    """
    command = module_command("loadtests", "gate", str(path))
    process = subprocess.Popen(command, stdout=sys.stderr.fileno() if quietly else None)
    code = process.wait()
    return code if code >= 0 else EXIT_ERROR  # ended by a signal: no verdict
