"""A cluster: the master owns targets and run folder, workers make load and send their intervals.

Messages on Locust's own channel:

- `loadtests_plan`, master to workers, before Locust's spawn message: settings, endpoints, workers.
  It holds the DSN, so a cluster belongs on a trusted network, as Locust itself does.
- `loadtests_answer`, worker to master: it takes part, or why it cannot.
- `loadtests_ready`, worker to master: its users are there, its databases are rehearsed on.
- `loadtests_start`, master to workers: time 0, by the clock of the master's machine.
- `loadtests_interval`, worker to master: one second of one worker, bucketed and encoded.
- `loadtests_fault`, worker to master: an error of the scenario's own code.
- `loadtests_abort`, worker to master: it had to end, and why.
- `loadtests_finish`, master to workers: end the run.
- `loadtests_done`, worker to master: everything has been sent.

The workers of a run are those that are connected when it is planned. One that joins later waits for
the next run: Locust would move users to it, and the run would be of two clusters.

Where subjects have names of their own, each is called by one worker, which its environment names:
its share is all of that subject's arrivals and keys, and none of the other's.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import gevent
import locust
from gevent.event import AsyncResult
from greenlet import GreenletExit
from locust.dispatch import UsersDispatcher
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerNode, WorkerRunner

import loadtests
from loadtests.config import Config
from loadtests.errors import LoadtestsError, TargetError, UsageError
from loadtests.load.child_environment import served_subject
from loadtests.load.locust.checks import check_stores
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.session import exit_on_error
from loadtests.load.locust.users import OpenLoopUser
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import is_separated, run_subjects
from loadtests.measure.health.probes import boot_id
from loadtests.measure.messages import WorkerInterval, WorkerLost
from loadtests.measure.results import ScenarioError
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json

_log: Final = logging.getLogger("loadtests")
FINISH_S: Final = 15.0
WATCH_S: Final = 1.0
ANSWER_S: Final = 10.0  # of workers, to the plan
CONNECT_S: Final = 60.0  # of workers that are started by hand
FORKED_CONNECT_S: Final = 15.0  # of workers that --processes starts
LEAD_NS: Final = 300_000_000  # from the message of time 0 to time 0


class FixedDispatcher(UsersDispatcher):
    """Spreads the users of each class over the workers of the plan, and over no others."""

    def _user_gen(self) -> Iterator[str | None]:
        """One user of a class for every worker, then the next class.

        Locust deals out users singly: of two classes and two workers, each worker would get one
        class, and nobody would take its arrivals of the other.
        """
        for user in super()._user_gen():
            yield from repeat(user, max(1, len(self._worker_nodes)))

    def add_worker(self, worker_node: WorkerNode) -> None:
        """A worker joined during the run: it waits for the next one."""
        _log.warning("Worker %s joined during the run and waits for the next one.", worker_node.id)

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """A worker is gone: its users are not moved to others, whose load they would change."""
        _log.warning("Worker %s is gone.", worker_node.id)


def scenario_of(classes: list[type[OpenLoopUser]]) -> dict[str, dict[str, float]]:
    """What a master and its workers must have in common: classes, access patterns and shares."""
    return {
        cls.__name__: {
            "weight": float(cls.weight),
            **{method.pattern: float(method.share) for method in cls.pattern_methods},
        }
        for cls in classes
    }


def versions() -> str:
    """What a master and its workers run: the versions of the harness and of Locust."""
    return f"loadtests {loadtests.__version__}, Locust {locust.__version__}"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What every worker must know; `workers` maps Locust's client ids to names, in order."""

    config: Config
    endpoints: Endpoints
    workers: dict[str, str]
    scenario: dict[str, dict[str, float]]
    versions: str

    def message(self) -> dict[str, Any]:
        """As plain data, for Locust's channel."""
        return {
            "config": self.config.model_dump(mode="json", by_alias=True),
            "endpoints": endpoints_to_json(self.endpoints),
            "workers": self.workers,
            "scenario": self.scenario,
            "versions": self.versions,
        }

    @classmethod
    def parse(cls, message: dict[str, Any]) -> ClusterPlan:
        """Read a message. Raises ValueError, TypeError or KeyError when it is malformed."""
        return cls(
            Config.model_validate(message["config"]),
            endpoints_from_json(message["endpoints"]),
            dict(message["workers"]),
            dict(message["scenario"]),
            str(message["versions"]),
        )

    def share_of(self, client_id: str, subject: str = "") -> WorkerShare:
        """A worker's share of the arrivals; all those of the `subject` that it serves.

        Raises ValueError for an unknown worker or subject.
        """
        if subject:
            return WorkerShare(subject=self.subjects.index(subject))
        return WorkerShare(list(self.workers).index(client_id), len(self.workers))

    @property
    def subjects(self) -> list[str]:
        """The names of the subjects that have a worker each; empty where workers serve them all."""
        if not is_separated(self.config):
            return []
        return [subject.driver for subject in run_subjects(self.config)]


class ClusterMaster:
    """The master's part: plans the run, collects intervals and notices lost workers."""

    def __init__(self, controller: RunController, runner: MasterRunner) -> None:
        self._controller = controller
        self._runner = runner
        self._waiting: set[str] = set()
        self._unanswered: set[str] = set()
        self._unready: set[str] = set()
        self._names: dict[str, str] = {}
        controller.environment.dispatcher_class = FixedDispatcher
        for name, listener in {
            "loadtests_answer": self._on_answer,
            "loadtests_ready": self._on_ready,
            "loadtests_interval": self._on_interval,
            "loadtests_fault": self._on_fault,
            "loadtests_abort": self._on_abort,
            "loadtests_done": self._on_done,
        }.items():
            self._runner.register_message(name, exit_on_error(listener))

    def connected(self) -> list[str]:
        """The client ids of the workers that can take part, as Locust counts them."""
        clients = self._runner.clients
        return [client.id for client in (*clients.ready, *clients.running, *clients.spawning)]

    def await_workers(self, expected: int, longest_s: float) -> None:
        """Wait for the workers of a run that starts by itself.

        Raises TargetError when they are not there in time.
        """
        deadline_s = time.monotonic() + longest_s
        while (count := len(self.connected())) < expected and time.monotonic() < deadline_s:
            gevent.sleep(0.1)
        if count >= expected:
            return
        raise TargetError(
            f"{count} of {expected} workers connected within {longest_s:g} s.",
            hint="Look at the workers' output; start them with --worker and --master-host, or allow"
            " more time with --expect-workers-max-wait.",
        )

    def plan(self, config: Config, endpoints: Endpoints, clients: list[str]) -> None:
        """Number the workers and send them the plan, before Locust spawns users.

        When one of them cannot take part, the run is aborted and this greenlet ends.
        """
        self._names = {client: f"worker {i + 1}" for i, client in enumerate(clients)}
        self._waiting = set(clients)
        self._unanswered = set(clients)
        self._unready = set(clients)
        plan = ClusterPlan(
            config,
            endpoints,
            self._names,
            scenario_of(self._controller.user_classes),
            versions(),
        )
        for client in clients:
            self._runner.send_message("loadtests_plan", plan.message(), client)
        session = self._controller.session
        with gevent.Timeout(ANSWER_S, False):
            while self._unanswered and session.exit_code is None:
                gevent.sleep(0.02)
        if self._unanswered:  # an answer that refuses has ended the run already
            session.abort(
                TargetError(
                    f"{self._names[min(self._unanswered)]} did not answer within {ANSWER_S:g} s.",
                    hint="Does it run the same scenario, with the same version of loadtests?",
                )
            )
            raise GreenletExit  # nothing starts; the abort also ends the workers
        if plan.subjects and sorted(self._names.values()) != sorted(plan.subjects):
            served = ", ".join(sorted(self._names.values()))
            session.abort(
                UsageError(
                    f"The subjects are {', '.join(plan.subjects)}, and the workers serve {served}.",
                    hint="Let `loadtests compare --interleave` start the workers.",
                )
            )
            raise GreenletExit
        self._controller.open_folder(config, endpoints, list(self._names.values()))
        gevent.spawn(exit_on_error(self.watch))

    def finish(self) -> None:
        """Have every worker end and wait for its last interval; report those that stay silent."""
        self._runner.send_message("loadtests_finish", {})
        with gevent.Timeout(FINISH_S, False):
            while self._waiting:
                gevent.sleep(0.05)
                self._lose(self._missing())
        self._lose(set(self._waiting))

    def watch(self) -> None:
        """Notice workers that die during a run; the seconds of the others still count."""
        while self._waiting:
            gevent.sleep(WATCH_S)
            self._lose(self._missing())

    def _missing(self) -> set[str]:
        clients = self._runner.clients
        present = {client.id for client in clients.all}
        present -= {client.id for client in clients.missing}
        return self._waiting - present

    def _lose(self, clients: set[str]) -> None:
        for client in clients:
            worker = self._names.get(client, client)
            _log.error("%s was lost; the run is not valid.", worker)
            self._controller.forward(WorkerLost(worker))
        self._waiting -= clients
        self._stop_waiting_for(clients)

    def _stop_waiting_for(self, clients: set[str]) -> None:
        """Send time 0 once every worker is ready, or lost."""
        if not self._unready:
            return
        self._unready -= clients
        if not self._unready:
            start = {"origin_ns": time.monotonic_ns() + LEAD_NS, "machine": boot_id()}
            for client in self._waiting:
                self._runner.send_message("loadtests_start", start, client)

    def _on_ready(self, msg: Message, **_: Any) -> None:
        self._stop_waiting_for({msg.node_id})

    def _on_interval(self, msg: Message, **_: Any) -> None:
        worker = self._names.get(msg.node_id)
        if worker is None:  # it joined after the run was planned
            return
        data = msg.data if isinstance(msg.data, dict) else {}
        text = data.get("second")
        # anything but text becomes an empty second, for which the scribe loses the worker
        payload = text.encode() if isinstance(text, str) else b""
        self._controller.forward(WorkerInterval(worker), payload)

    def _on_done(self, msg: Message, **_: Any) -> None:
        self._waiting.discard(msg.node_id)

    def _on_answer(self, msg: Message, **_: Any) -> None:
        data = msg.data if isinstance(msg.data, dict) else {}
        problem, subject = (str(data.get(name) or "") for name in ("problem", "subject"))
        if subject and msg.node_id in self._names:
            self._names[msg.node_id] = subject
        if problem:
            worker = self._names.get(msg.node_id, msg.node_id)
            self._controller.session.abort(
                UsageError(
                    f"{worker} cannot take part: {problem}",
                    hint=str(data.get("hint") or "")
                    or "Start master and workers with the same scenario and version.",
                )
            )
            return
        self._unanswered.discard(msg.node_id)

    def _on_fault(self, msg: Message, **_: Any) -> None:
        fault = ScenarioError.model_validate(msg.data)
        self._controller.report_fault(fault)

    def _on_abort(self, msg: Message, **_: Any) -> None:
        worker = self._names.get(msg.node_id, msg.node_id)
        data = msg.data if isinstance(msg.data, dict) else {}
        self._controller.session.abort(
            LoadtestsError(f"{worker}: {data.get('message')}", hint=str(data.get("hint", "")))
        )


class ClusterWorker:
    """A worker's part: makes its share of the load and sends its intervals."""

    def __init__(self, controller: RunController, runner: WorkerRunner) -> None:
        self._controller = controller
        self._runner = runner
        self._plan: ClusterPlan | None = None
        self._subject = served_subject(os.environ)
        self._origin_ns: AsyncResult[int | None] = AsyncResult()
        controller.await_start = self._await_start
        controller.on_interval = self._send
        controller.on_fault = self._send_fault
        controller.session.on_abort = self._send_abort
        self._runner.register_message("loadtests_plan", exit_on_error(self._on_plan))
        self._runner.register_message("loadtests_start", exit_on_error(self._on_start))
        self._runner.register_message(
            "loadtests_finish", exit_on_error(self._on_finish), concurrent=True
        )

    def start(self) -> None:
        """Make load as the plan says. Raises LoadtestsError for a worker that is not in it."""
        plan, client = self._plan, self._runner.client_id
        if plan is None or client not in plan.workers:
            raise LoadtestsError(
                "This worker joined after the run was planned and takes no part in it.",
                hint="Start all workers before the run.",
            )
        name = self._subject or plan.workers[client]
        self._controller.open_relay(name)
        share = plan.share_of(client, self._subject)
        self._controller.make_load(plan.config, plan.endpoints, name, share)

    def _await_start(self) -> int | None:
        """Time 0 of the run, ns; None where the master's clock is that of another machine."""
        self._runner.send_message("loadtests_ready", {})
        origin_ns: int | None = self._origin_ns.get()
        return origin_ns

    def _on_start(self, msg: Message, **_: Any) -> None:
        machine = boot_id()
        same = bool(machine) and msg.data["machine"] == machine
        self._origin_ns.set(int(msg.data["origin_ns"]) if same else None)

    def _send(self, second: str) -> None:
        self._runner.send_message("loadtests_interval", {"second": second})

    def _send_fault(self, fault: ScenarioError) -> None:
        self._runner.send_message("loadtests_fault", fault.model_dump(mode="json"))

    def _send_abort(self, error: Exception) -> None:
        message = {"message": str(error), "hint": getattr(error, "hint", "")}
        self._runner.send_message("loadtests_abort", message)

    def _on_plan(self, msg: Message, **_: Any) -> None:
        problem, hint = self._problem_with(msg.data), ""
        if not problem:
            plan = self._plan = ClusterPlan.parse(msg.data)
            self._origin_ns = AsyncResult()
            problem, hint = self._problem_with_subject(plan)
        answer = {"problem": problem, "hint": hint, "subject": self._subject}
        self._runner.send_message("loadtests_answer", answer)

    def _problem_with(self, message: Any) -> str:
        """Why this worker cannot take part in a plan; empty when it can."""
        theirs = message.get("versions") if isinstance(message, dict) else None
        if theirs != versions():
            return f"the master runs {theirs or 'another version'}, and the worker {versions()}."
        scenario = scenario_of(self._controller.user_classes)
        if message.get("scenario") != scenario:
            return (
                f"the master's scenario is {_listed(message.get('scenario'))}, and the worker's"
                f" {_listed(scenario)}, or their shares differ."
            )
        return ""

    def _problem_with_subject(self, plan: ClusterPlan) -> tuple[str, str]:
        """Why this worker cannot serve its subject, and what to do; empty when it can."""
        if not (self._subject or plan.subjects):
            return "", ""
        if self._subject not in plan.subjects:
            served = f"the subject {self._subject}" if self._subject else "no single subject"
            wanted = ", ".join(plan.subjects) or "no subjects of their own"
            return f"it serves {served}, and the run has {wanted}.", ""
        try:
            check_stores(
                plan.config, plan.endpoints, self._controller.user_classes, served=self._subject
            )
        except LoadtestsError as error:
            return error.message, error.hint
        return "", ""

    def _on_finish(self, **_: Any) -> None:
        self._controller.finish()
        self._runner.send_message("loadtests_done", {})


def _listed(scenario: Any) -> str:
    return ", ".join(sorted(scenario or {})) or "unknown"
