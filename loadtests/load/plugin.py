"""The Locust plugin: what importing it from a scenario adds to Locust.

Arguments, embedded targets, the open-loop run around Locust's own start and stop, and an exit code
that is the verdict's. Nothing happens at import but registration.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

import gevent
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError, UsageError
from loadtests.load.locust.checks import check_profiles, check_stores
from loadtests.load.locust.cluster import Master, Worker
from loadtests.load.locust.controller import SINGLE, RunController, judge
from loadtests.load.locust.live import add_live_view
from loadtests.load.locust.options import add_arguments, config_of, default_users
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import run_subjects
from loadtests.targets.endpoints import Endpoints

__all__ = ["OpenLoopUser", "access_pattern"]

EARLY_END_S: Final = 0.3


def plainly(listener: Callable[..., None]) -> Callable[..., None]:
    """A user's mistake ends Locust with a sentence, a hint and exit code 2, not a stack trace."""

    @wraps(listener)
    def heard(*arguments: Any, **keywords: Any) -> None:
        try:
            listener(*arguments, **keywords)
        except LoadtestsError as error:
            _tell(error)
            sys.exit(error.exit_code)

    return heard


def _tell(error: LoadtestsError) -> None:
    sys.stderr.write(f"Error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"Hint: {error.hint}\n")


def _on_parser(parser: Any, **_: Any) -> None:
    add_arguments(parser)


def _on_init(environment: Any, runner: Any, **_: Any) -> None:
    classes = [cls for cls in environment.user_classes if issubclass(cls, OpenLoopUser)]
    if not classes:
        return
    if len(classes) < len(environment.user_classes):
        raise UsageError(
            "The locustfile mixes open-loop users with others.",
            hint="Derive every user class from loadtests.load.plugin.OpenLoopUser.",
        )
    environment.controller = controller = RunController(environment, _scenario(environment))
    environment.on_refusal = partial(_on_refusal, environment)
    role = WorkerRole if isinstance(runner, WorkerRunner) else OwnerRole
    listeners = role(controller)
    environment.events.test_start.add_listener(plainly(listeners.on_start))
    environment.events.spawning_complete.add_listener(listeners.on_spawned)
    environment.events.test_stopping.add_listener(listeners.on_stopping)
    environment.events.test_stop.add_listener(listeners.on_stop)
    environment.events.quitting.add_listener(listeners.on_quitting)


def _on_refusal(environment: Any, error: LoadtestsError) -> None:
    """A user could not be made: end the run with its error, told once."""
    if environment.controller.exit_code == EXIT_ERROR:
        return
    environment.controller.exit_code = EXIT_ERROR
    _tell(error)
    gevent.spawn(environment.runner.quit)


events.init_command_line_parser.add_listener(plainly(_on_parser))
events.init.add_listener(plainly(_on_init))


def _scenario(environment: Any) -> str:
    files = environment.parsed_locustfiles or [environment.locustfile or "scenario"]
    return "+".join(Path(file).stem for file in files)


class WorkerRole:
    """A cluster's worker: makes load as the master plans it."""

    def __init__(self, controller: RunController) -> None:
        self._controller = controller
        self._worker = Worker(controller)
        controller.environment.process_exit_code = 0

    def on_start(self, **_: Any) -> None:
        """The plan has come with the spawn message."""
        self._worker.start()

    def on_spawned(self, **_: Any) -> None:
        """Every worker's users are there."""
        self._controller.begin()

    def on_stopping(self, **_: Any) -> None:
        """Stopped without the master's asking: keep what there is."""
        self._controller.finish()

    on_stop = on_quitting = on_stopping


class OwnerRole:
    """A single process or a cluster's master: owns targets, run folder and verdict."""

    def __init__(self, controller: RunController) -> None:
        self._controller = controller
        self._environment = controller.environment
        self._options = self._environment.parsed_options
        runner = self._environment.runner
        self._master = Master(controller) if isinstance(runner, MasterRunner) else None
        config = config_of(self._options)
        classes = list(self._environment.user_classes)
        check_profiles(config, classes)
        dispatchers = len(classes) * len(run_subjects(config))
        if self._options.num_users is None:
            self._options.num_users = default_users(config, dispatchers)
        if self._options.spawn_rate is None:
            self._options.spawn_rate = max(100, self._options.num_users // 2)
        check_stores(config, self._open_targets(config), classes)
        if self._environment.web_ui:
            add_live_view(self._environment.web_ui, controller, config.slo)

    def on_start(self, **_: Any) -> None:
        """A test starts; the web form may have changed the settings."""
        self._controller.refused = None
        try:
            self._start()
        except LoadtestsError as error:
            if self._environment.web_ui is None or self._master:
                raise
            # a slip in the form must not end the web UI: the next try may be better
            self._controller.refused = error
            _tell(error)
            gevent.spawn(self._environment.runner.stop)

    def _start(self) -> None:
        run_time = self._options.run_time
        if run_time and self._options.headless and not self._master:
            # Locust's own stop first inspects the stack, which stands the loop still for 30 ms
            gevent.spawn_later(max(0.0, run_time - EARLY_END_S), self._controller.finish)
        config = config_of(self._options)
        endpoints = self._open_targets(config)
        if self._master:
            self._master.plan(config, endpoints)
        else:
            self._controller.open_folder(config, endpoints, [SINGLE])
            self._controller.make_load(config, endpoints, SINGLE, WorkerShare())

    def on_spawned(self, **_: Any) -> None:
        """All users are there."""
        if not self._controller.refused:
            self._controller.begin()

    def on_stopping(self, **_: Any) -> None:
        """End the run before Locust stops its users."""
        if self._master:
            self._master.finish()
        self._controller.finish()

    def on_stop(self, **_: Any) -> None:
        """Judge what was measured."""
        path, self._controller.path = self._controller.path, None
        if path is None:
            return
        if not self._options.no_report and self._controller.exit_code != EXIT_ERROR:
            self._environment.process_exit_code = judge(path)
        elif self._controller.exit_code is not None:
            self._environment.process_exit_code = self._controller.exit_code
        else:
            self._environment.process_exit_code = 0

    def on_quitting(self, **_: Any) -> None:
        """Locust ends, perhaps by Ctrl-C in the middle of a test."""
        self.on_stopping()
        self.on_stop()
        self._controller.close_targets()

    def _open_targets(self, config: Config) -> Endpoints:
        return self._controller.open_targets(config, provision=not self._options.no_provision)
