"""The Locust plugin: importing it in a scenario registers the listeners below with Locust.

They add the arguments, the embedded targets, the open-loop run between Locust's start and stop, and
the verdict's exit code. Importing does nothing but register.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, Protocol

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError, UsageError, exit_code_of
from loadtests.interpreter import forget_foreign_settings, search_current_folder_last
from loadtests.load.locust.checks import check_profiles, check_stores
from loadtests.load.locust.cluster import ClusterMaster, ClusterWorker
from loadtests.load.locust.controller import SINGLE, RunController, judge
from loadtests.load.locust.live import add_live_view
from loadtests.load.locust.options import add_arguments, config_of, default_users
from loadtests.load.locust.session import open_session, print_error
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import run_subjects
from loadtests.targets.endpoints import Endpoints

__all__ = ["OpenLoopUser", "access_pattern"]

EARLY_END_S: Final = 0.3


def exit_on_error(action: Callable[..., None]) -> Callable[..., None]:
    """Wrap a listener so that every error ends Locust with a message and exit code 2.

    Locust itself logs what a listener raises and goes on: without load, and to exit code 0.
    """

    @wraps(action)
    def guarded(*arguments: Any, **keywords: Any) -> None:
        try:
            action(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 (a crash must not look like a verdict)
            print_error(error)
            sys.exit(exit_code_of(error))

    return guarded


class ClusterRole(Protocol):
    """What this process does at each stage of a test: `WorkerRole` or `OwnerRole`."""

    def on_start(self, **_: Any) -> None:
        """A test starts."""

    def on_spawned(self, **_: Any) -> None:
        """All users have been spawned."""

    def on_stopping(self, **_: Any) -> None:
        """A test is about to stop its users."""

    def on_stop(self, **_: Any) -> None:
        """A test has stopped."""

    def on_quitting(self, **_: Any) -> None:
        """Locust ends."""


class WorkerRole:
    """A cluster's worker: makes load as the master plans it."""

    def __init__(self, controller: RunController, runner: WorkerRunner) -> None:
        self._controller = controller
        self._worker = ClusterWorker(controller, runner)
        controller.environment.process_exit_code = 0

    def on_start(self, **_: Any) -> None:
        """The plan has arrived before Locust's spawn message."""
        self._worker.start()

    def on_spawned(self, **_: Any) -> None:
        """The users of every worker have been spawned."""
        self._controller.begin()

    def on_stopping(self, **_: Any) -> None:
        """Stopped without the master's request: keep what has been measured."""
        self._controller.finish()

    on_stop = on_quitting = on_stopping


class OwnerRole:
    """A single process or a cluster's master: owns targets, run folder and verdict."""

    def __init__(
        self, controller: RunController, runner: Runner, options: Namespace, *, has_web_ui: bool
    ) -> None:
        self._controller = controller
        self._session = controller.session
        self._runner = runner
        self._options = options
        self._has_web_ui = has_web_ui
        self._master = (
            ClusterMaster(controller, runner) if isinstance(runner, MasterRunner) else None
        )
        config = config_of(options)
        classes = controller.user_classes
        check_profiles(config, classes)
        dispatchers = len(classes) * len(run_subjects(config))
        if options.num_users is None:
            options.num_users = default_users(config, dispatchers)
        if options.spawn_rate is None:
            options.spawn_rate = max(100, options.num_users // 2)
        check_stores(config, self._open_targets(config), classes)

    def on_start(self, **_: Any) -> None:
        """A test starts; the web form may have changed the settings."""
        self._session.refusal = None
        try:
            self._start()
        except LoadtestsError as error:
            if not self._has_web_ui or self._master:
                raise
            # a mistake in the form must not end the web UI: the next attempt may be right
            self._session.refusal = error
            print_error(error)
            gevent.spawn(self._runner.stop)

    def _start(self) -> None:
        run_time = self._options.run_time
        if run_time and self._options.headless and not self._master:
            # Locust's own stop first inspects the stack, which stalls the event loop for 30 ms
            gevent.spawn_later(
                max(0.0, run_time - EARLY_END_S), exit_on_error(self._controller.finish)
            )
        config = config_of(self._options)
        endpoints = self._open_targets(config)
        if self._master:
            self._master.plan(config, endpoints)
        else:
            self._controller.open_folder(config, endpoints, [SINGLE])
            self._controller.make_load(config, endpoints, SINGLE, WorkerShare())

    def on_spawned(self, **_: Any) -> None:
        """All users have been spawned."""
        if not self._session.refusal:
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
        environment, exit_code = self._controller.environment, self._session.exit_code
        if not self._options.no_report and exit_code != EXIT_ERROR:
            environment.process_exit_code = judge(path)
        else:
            environment.process_exit_code = exit_code or 0

    def on_quitting(self, **_: Any) -> None:
        """Locust ends, perhaps by Ctrl-C during a test."""
        self.on_stopping()
        self.on_stop()
        self._controller.close_targets()

    def _open_targets(self, config: Config) -> Endpoints:
        return self._controller.open_targets(config, provision=not self._options.no_provision)


def _on_parser(parser: ArgumentParser, **_: Any) -> None:
    add_arguments(parser)


def _on_init(environment: Environment, runner: Runner, **_: Any) -> None:
    search_current_folder_last()
    forget_foreign_settings()
    classes = [cls for cls in environment.user_classes if issubclass(cls, OpenLoopUser)]
    options = environment.parsed_options
    if not classes or options is None:
        return
    if len(classes) < len(environment.user_classes):
        raise UsageError(
            "The locustfile mixes open-loop users with others.",
            hint="Derive every user class from loadtests.load.plugin.OpenLoopUser.",
        )
    controller = RunController(open_session(environment), _scenario(environment))
    role: ClusterRole
    if isinstance(runner, WorkerRunner):
        role = WorkerRole(controller, runner)
    else:
        web_ui = environment.web_ui
        role = OwnerRole(controller, runner, options, has_web_ui=web_ui is not None)
        if web_ui is not None:
            add_live_view(web_ui, controller, config_of(options).slo)
    environment.events.test_start.add_listener(exit_on_error(role.on_start))
    environment.events.spawning_complete.add_listener(exit_on_error(role.on_spawned))
    environment.events.test_stopping.add_listener(exit_on_error(role.on_stopping))
    environment.events.test_stop.add_listener(exit_on_error(role.on_stop))
    environment.events.quitting.add_listener(exit_on_error(role.on_quitting))
    update_loop_time()


def update_loop_time() -> None:
    """Let timers count from now, also before the event loop first runs.

    Until then gevent takes the process's start for now, and Locust's timer for --run-time would
    shorten the run by the time that importing took.
    """
    gevent.get_hub().loop.update_now()


def _scenario(environment: Environment) -> str:
    files = environment.parsed_locustfiles or [environment.locustfile or "scenario"]
    return "+".join(Path(file).stem for file in files)


events.init_command_line_parser.add_listener(exit_on_error(_on_parser))
events.init.add_listener(exit_on_error(_on_init))
