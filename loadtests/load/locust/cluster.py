"""A cluster: the master owns targets and run folder, workers make load and send their intervals.

Messages on Locust's own channel:

- `loadtests_plan`, master to workers, before Locust's spawn message: settings, endpoints, workers.
  It holds the DSN, so a cluster belongs on a trusted network, as Locust itself does.
- `loadtests_interval`, worker to master: one second of one worker, bucketed and encoded.
- `loadtests_finish`, master to workers: end the run.
- `loadtests_done`, worker to master: everything has been sent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import gevent
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerRunner

from loadtests.config import Config
from loadtests.errors import LoadtestsError
from loadtests.load.locust.controller import RunController
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.measure.messages import WorkerInterval, WorkerLost
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json

_log: Final = logging.getLogger("loadtests")
FINISH_S: Final = 15.0
WATCH_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What every worker must know; `workers` maps Locust's client ids to names, in order."""

    config: Config
    endpoints: Endpoints
    workers: dict[str, str]

    def message(self) -> dict[str, Any]:
        """As plain data, for Locust's channel."""
        return {
            "config": self.config.model_dump(mode="json", by_alias=True),
            "endpoints": endpoints_to_json(self.endpoints),
            "workers": self.workers,
        }

    @classmethod
    def parse(cls, message: dict[str, Any]) -> ClusterPlan:
        """Read a message. Raises ValueError, TypeError or KeyError when it is malformed."""
        return cls(
            Config.model_validate(message["config"]),
            endpoints_from_json(message["endpoints"]),
            dict(message["workers"]),
        )

    def share_of(self, client_id: str) -> WorkerShare:
        """A worker's share of the arrivals. Raises ValueError for an unknown worker."""
        return WorkerShare(list(self.workers).index(client_id), len(self.workers))


class ClusterMaster:
    """The master's part: plans the run, collects intervals and notices lost workers."""

    def __init__(self, controller: RunController, runner: MasterRunner) -> None:
        self._controller = controller
        self._runner = runner
        self._waiting: set[str] = set()
        self._names: dict[str, str] = {}
        self._runner.register_message("loadtests_interval", self._on_interval)
        self._runner.register_message("loadtests_done", self._on_done)

    def plan(self, config: Config, endpoints: Endpoints) -> None:
        """Number the workers and send them the plan, before Locust spawns users."""
        clients = [client.id for client in self._runner.clients.all]
        self._names = {client: f"worker {i + 1}" for i, client in enumerate(clients)}
        self._waiting = set(clients)
        self._controller.open_folder(config, endpoints, list(self._names.values()))
        plan = ClusterPlan(config, endpoints, self._names)
        self._runner.send_message("loadtests_plan", plan.message())
        gevent.spawn(self.watch)

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


class ClusterWorker:
    """A worker's part: makes its share of the load and sends its intervals."""

    def __init__(self, controller: RunController, runner: WorkerRunner) -> None:
        self._controller = controller
        self._runner = runner
        self._plan: ClusterPlan | None = None
        controller.on_interval = self._send
        self._runner.register_message("loadtests_plan", self._on_plan)
        self._runner.register_message("loadtests_finish", self._on_finish, concurrent=True)

    def start(self) -> None:
        """Make load as the plan says. Raises LoadtestsError for a worker that is not in it."""
        plan, client = self._plan, self._runner.client_id
        if plan is None or client not in plan.workers:
            raise LoadtestsError(
                "This worker joined after the run was planned and takes no part in it.",
                hint="Start all workers before the run.",
            )
        self._controller.open_relay(plan.workers[client])
        self._controller.make_load(
            plan.config, plan.endpoints, plan.workers[client], plan.share_of(client)
        )

    def _send(self, second: str) -> None:
        self._runner.send_message("loadtests_interval", {"second": second})

    def _on_plan(self, msg: Message, **_: Any) -> None:
        self._plan = ClusterPlan.parse(msg.data)

    def _on_finish(self, **_: Any) -> None:
        self._controller.finish()
        self._runner.send_message("loadtests_done", {})
