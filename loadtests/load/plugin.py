"""The Locust plugin: importing it in a scenario registers the listeners below with Locust.

They add the arguments, the embedded targets, the open-loop run between Locust's start and stop, and
the verdict's exit code. Importing does nothing but register.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Final, Protocol

import gevent
from locust import argument_parser, events
from locust.env import Environment
from locust.runners import (
    STATE_RUNNING,
    STATE_SPAWNING,
    MasterRunner,
    Runner,
    WorkerRunner,
)

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError, UsageError
from loadtests.interpreter import forget_foreign_settings, search_current_folder_last
from loadtests.load.declared_stores import (
    declared_patterns,
    store,
    subjects_of_class,
)
from loadtests.load.locust.checks import (
    check_connections,
    check_profiles,
    check_stores,
    check_users,
)
from loadtests.load.locust.cluster import (
    CONNECT_S,
    FORKED_CONNECT_S,
    ClusterMaster,
    ClusterWorker,
)
from loadtests.load.locust.controller import SINGLE, RunController, judge
from loadtests.load.locust.locust_options import (
    check_environment,
    check_port,
    check_when_parsed,
)
from loadtests.load.locust.options import add_arguments, config_of, default_users
from loadtests.load.locust.session import exit_on_error, open_session, print_error
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.locust.web.guard import AllowedHosts, RunForm, guard_web_ui
from loadtests.load.locust.web.live import add_live_view
from loadtests.load.preconditions import check_limit_names
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import is_separated
from loadtests.stores.factories import is_factory
from loadtests.targets.endpoints import Endpoints

__all__ = ["OpenLoopUser", "access_pattern", "store"]

EARLY_END_S: Final = 0.3


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
        self, controller: RunController, runner: Runner, options: Namespace, web_ui: Any
    ) -> None:
        self._controller = controller
        self._session = controller.session
        self._runner = runner
        self._options = options
        self._web_ui = web_ui
        self._master = (
            ClusterMaster(controller, runner) if isinstance(runner, MasterRunner) else None
        )
        self._driver = options.driver
        config = config_of(options)
        if is_separated(config) and self._master is None:
            raise UsageError(
                f"The subjects {config.load.subjects} need a process each.",
                hint="Compare them with `loadtests compare --interleave`.",
            )
        for cls in controller.user_classes:
            cls.check_declarations()
        check_limit_names(config.slo, declared_patterns(controller.described_classes))
        check_profiles(config, controller.user_classes)
        if options.num_users is None:
            options.num_users = default_users(config, *self._streams(config))
        if options.spawn_rate is None:
            options.spawn_rate = max(100, options.num_users // 2)
        self.check(options)
        if self._master and (options.headless or options.autostart):
            gevent.spawn(exit_on_error(self._await_workers))
        endpoints = self._open_targets(config)
        try:
            if not is_separated(config):  # else each worker checks those of its own subject
                check_stores(config, endpoints, controller.user_classes)
            check_connections(config, endpoints, controller.user_classes, users=options.num_users)
        except LoadtestsError:
            controller.close_targets()
            raise
        if web_ui is not None:
            self._add_web_ui(config)

    def _streams(self, config: Config) -> tuple[int, int]:
        """How many streams of arrivals the run has, and to how many subjects."""
        called = [subjects_of_class(each, config) for each in self._controller.described_classes]
        return sum(map(len, called)), len({subject for each in called for subject in each})

    def check(self, options: Namespace) -> None:
        """Refuse options that no run can be made with. Raises LoadtestsError."""
        if is_factory(options.driver) and options.driver != self._driver:
            raise UsageError(
                "A factory is code, which the web UI may not choose.",
                hint=f"Start Locust with --driver {options.driver}.",
            )
        config = config_of(options)
        check_users(
            config,
            users=options.num_users,
            spawn_rate_per_s=options.spawn_rate,
            run_time_s=options.run_time,
            dispatchers=self._streams(config)[0],
        )

    def _await_workers(self) -> None:
        """Wait for the workers here: Locust waits for ever, or ends with the code of a FAIL."""
        assert self._master is not None
        options = self._options
        longest_s = FORKED_CONNECT_S if options.processes else CONNECT_S
        longest_s, options.expect_workers_max_wait = options.expect_workers_max_wait or longest_s, 0
        self._master.await_workers(options.expect_workers, longest_s)

    def _add_web_ui(self, config: Config) -> None:
        web_ui, controller = self._web_ui, self._controller
        check_port(web_ui.host, web_ui.port, "--web-port")
        form = RunForm(
            self._options,
            self.check,
            is_running=lambda: self._runner.state in {STATE_RUNNING, STATE_SPAWNING},
            is_preparing=lambda: bool(controller.preparing),
        )
        guard_web_ui(web_ui, AllowedHosts.of(web_ui.host, config.web_ui.allowed_hosts), form)
        add_live_view(web_ui, controller, config.slo)
        controller.on_begin = self._restart_run_time
        # a timer of --autostart cannot be started again, and would shorten the run
        if not self._master and not (self._options.autostart and self._options.run_time):
            controller.may_rehearse = True

    def _restart_run_time(self) -> None:
        """Count the form's run time from time 0: seeding and rehearsing take none of it."""
        web_ui = self._web_ui
        if web_ui._run_time_greenlet is not None and self._options.run_time:
            web_ui._cancel_run_time_timer()
            web_ui._run_time_greenlet = gevent.spawn_later(
                self._options.run_time, web_ui._stop_runners
            )

    def on_start(self, **_: Any) -> None:
        """A test starts; the web form may have changed the settings."""
        self._session.refusal = None
        self._controller.forget_last_run()
        # Locust does so once this returns; until then its page would offer no button to stop
        self._runner.update_state(STATE_SPAWNING)
        try:
            self._start()
        except LoadtestsError as error:
            if self._web_ui is None or self._master:
                raise
            # a mistake in the form must not end the web UI: the next attempt may be right
            self._session.refusal = error
            print_error(error)
            gevent.spawn(self._runner.stop)
        finally:
            self._controller.preparing = ""

    def _start(self) -> None:
        # those that Locust gives users to; others may join while the databases are seeded
        workers = self._master.connected() if self._master else []
        run_time = self._options.run_time
        if run_time and self._options.headless and not self._master:
            # Locust's own stop first inspects the stack, which stalls the event loop for 30 ms
            gevent.spawn_later(
                max(0.0, run_time - EARLY_END_S), exit_on_error(self._controller.finish)
            )
        config = config_of(self._options)
        endpoints = self._open_targets(config)
        if self._master:
            self._master.plan(config, endpoints, workers)
        else:
            self._controller.open_folder(config, endpoints, [SINGLE])
            self._controller.make_load(config, endpoints, SINGLE, WorkerShare())

    def on_spawned(self, **_: Any) -> None:
        """All users have been spawned."""
        if self._master and self._web_ui is not None:
            self._restart_run_time()
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
        if path is None or self._session.refusal:
            return
        environment, exit_code = self._controller.environment, self._session.exit_code
        if exit_code != EXIT_ERROR and (problem := self._problem()):
            print_error(problem)
            self._session.refusal = problem
            exit_code = EXIT_ERROR
        if not self._options.no_report and exit_code != EXIT_ERROR:
            environment.process_exit_code = judge(path, quietly=self._options.json)
        else:
            environment.process_exit_code = exit_code or 0

    def _problem(self) -> UsageError | None:
        """Why the run that has ended is no measurement, where its figures cannot say it."""
        if self._options.no_report and not self._controller.environment.stats.num_requests:
            return UsageError(
                "The run made no call.", hint="Run longer (--run-time), or raise --rate or --users."
            )
        return self._controller.faults.final_verdict()

    def on_quitting(self, **_: Any) -> None:
        """Locust ends, perhaps by Ctrl-C during a test."""
        self.on_stopping()
        self.on_stop()
        self._controller.close_targets()

    def _open_targets(self, config: Config) -> Endpoints:
        return self._controller.open_targets(config, provision=not self._options.no_provision)


def _on_parser(parser: ArgumentParser, **_: Any) -> None:
    add_arguments(parser)
    check_when_parsed(parser)


def _on_init(environment: Environment, runner: Runner, web_ui: Any = None, **_: Any) -> None:
    search_current_folder_last()
    forget_foreign_settings()
    classes = [cls for cls in environment.user_classes if issubclass(cls, OpenLoopUser)]
    if not classes:
        return
    if len(classes) < len(environment.user_classes):
        raise UsageError(
            "The locustfile mixes open-loop users with others.",
            hint="Derive every user class from loadtests.load.plugin.OpenLoopUser.",
        )
    check_environment(environment)
    if environment.parsed_options is None:
        environment.parsed_options = _default_options(headless=web_ui is None)
    options = environment.parsed_options
    controller = RunController(open_session(environment), _scenario(environment))
    role: ClusterRole
    if isinstance(runner, WorkerRunner):
        role = WorkerRole(controller, runner)
    else:
        role = OwnerRole(controller, runner, options, web_ui)
    environment.events.test_start.add_listener(exit_on_error(role.on_start))
    environment.events.spawning_complete.add_listener(exit_on_error(role.on_spawned))
    environment.events.test_stopping.add_listener(exit_on_error(role.on_stopping))
    environment.events.test_stop.add_listener(exit_on_error(role.on_stop))
    environment.events.quitting.add_listener(exit_on_error(role.on_quitting))
    update_loop_time()


def _default_options(*, headless: bool) -> Namespace:
    """Options for a program that uses Locust as a library: loadtests.toml and the environment."""
    options: Namespace = argument_parser.get_parser(default_config_files=[]).parse_args([])
    options.headless = headless
    return options


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
