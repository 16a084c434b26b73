"""A cluster: the master owns targets and run folder, workers make load and send their intervals.

Messages (Locust's own channel): `loadtests_interval` carries one worker's second, already bucketed
and encoded; `loadtests_finish` asks the workers to end; `loadtests_done` says one has sent all.
The plan travels with Locust's parsed options, in the spawn message. It holds the endpoints with
their DSN, so a cluster belongs on a network you trust, as Locust itself does.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, Final

import gevent

from loadtests.config import Config
from loadtests.load.locust.controller import RunController
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

_log: Final = logging.getLogger("loadtests")
FINISH_S: Final = 15.0
WATCH_S: Final = 1.0


class Master:
    """The master's half."""

    def __init__(self, controller: RunController) -> None:
        self._controller = controller
        self._runner = controller.environment.runner
        self._waiting: set[str] = set()
        self._names: dict[str, str] = {}
        self._runner.register_message("loadtests_interval", self._on_interval)
        self._runner.register_message("loadtests_done", self._on_done)

    def plan(self, config: Config, endpoints: Endpoints) -> None:
        """Before the workers spawn: number them and put the plan where Locust sends it."""
        clients = [client.id for client in self._runner.clients.all]
        self._names = {client: f"worker {i + 1}" for i, client in enumerate(clients)}
        self._waiting = set(clients)
        self._controller.open_folder(config, endpoints, list(self._names.values()))
        self._controller.environment.parsed_options.loadtests_plan = {
            "config": config.model_dump(mode="json", by_alias=True),
            "endpoints": asdict(endpoints),
            "workers": self._names,
        }
        gevent.spawn(self.watch)

    def finish(self) -> None:
        """Have every worker end and wait for its last interval; name those that stay silent."""
        self._runner.send_message("loadtests_finish", {})
        with gevent.Timeout(FINISH_S, False):
            while self._waiting:
                gevent.sleep(0.05)
                self._lose(self._gone())
        self._lose(set(self._waiting))

    def watch(self) -> None:
        """Notice workers that die in the middle of a run; the others' seconds go on."""
        while self._waiting:
            gevent.sleep(WATCH_S)
            self._lose(self._gone())

    def _gone(self) -> set[str]:
        clients = self._runner.clients
        there = {client.id for client in clients.all} - {client.id for client in clients.missing}
        return self._waiting - there

    def _lose(self, clients: set[str]) -> None:
        for client in clients:
            worker = self._names.get(client, client)
            _log.error("%s was lost; the run is not valid.", worker)
            self._controller.forward({"kind": "lose", "worker": worker})
        self._waiting -= clients

    def _on_interval(self, msg: Any, **_: Any) -> None:
        self._controller.forward(msg.data)

    def _on_done(self, msg: Any, **_: Any) -> None:
        self._waiting.discard(msg.node_id)


class Worker:
    """A worker's half."""

    def __init__(self, controller: RunController) -> None:
        self._controller = controller
        self._runner = controller.environment.runner
        controller.on_interval = self._send
        self._runner.register_message("loadtests_finish", self._on_finish, concurrent=True)

    def start(self) -> None:
        """The spawn message is here: make load as the plan says."""
        plan = self._controller.environment.parsed_options.loadtests_plan
        name = plan["workers"][self._runner.client_id]
        share = WorkerShare(
            list(plan["workers"]).index(self._runner.client_id), len(plan["workers"])
        )
        config = Config.model_validate(plan["config"])
        self._controller.open_relay(name)
        self._controller.make_load(config, _endpoints(plan["endpoints"]), name, share)

    def _send(self, line: dict[str, Any]) -> None:
        self._runner.send_message("loadtests_interval", line)

    def _on_finish(self, **_: Any) -> None:
        self._controller.finish()
        self._runner.send_message("loadtests_done", {})


def _endpoints(data: dict[str, Any]) -> Endpoints:
    dynamodb, postgres = data["dynamodb"], data["postgres"]
    return Endpoints(
        DynamoDBEndpoint(**dynamodb) if dynamodb else None,
        PostgresEndpoint(**postgres) if postgres else None,
    )
