"""When a controller rehearses, and that a run which was ended does not begin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import gevent
from locust.env import Environment

from loadtests.load.locust.assignment import UserAssignment
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.session import LoadSession
from loadtests.load.loop.run import LoadRun
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints

FIRST = Endpoints(dynamodb=DynamoDBEndpoint("http://127.0.0.1:8001", embedded=True))
SECOND = Endpoints(dynamodb=DynamoDBEndpoint("http://127.0.0.1:8002", embedded=True))


class Staged:
    """A controller whose load is a list of what happens to it."""

    def __init__(self) -> None:
        self.controller = RunController(LoadSession(Environment()), "cart")
        self.controller.may_rehearse = True
        self.events: list[str] = []
        self.ends_meanwhile = False

    def begin(self, endpoints: Endpoints) -> None:
        """Begin a run on these databases, and let it come to its first arrival."""
        self.run = SimpleNamespace(state="new", begin=lambda _: self.events.append("begin"))
        self.controller._run = cast("LoadRun", self.run)
        self.controller._users = cast(
            "UserAssignment",
            SimpleNamespace(rehearse=self._rehearse, empty_groups=list, is_joining=False),
        )
        self.controller._called = endpoints
        self.controller.begin()
        gevent.sleep(0)
        gevent.sleep(0)

    def _rehearse(self) -> None:
        self.events.append("rehearse")
        if self.ends_meanwhile:
            self.controller._run = None


def test_databases_are_rehearsed_on_once_in_a_process() -> None:
    here = Staged()
    here.begin(FIRST)
    here.begin(FIRST)  # a second start in the same web UI
    assert here.events == ["rehearse", "begin", "begin"]
    here.begin(SECOND)
    assert here.events[3:] == ["rehearse", "begin"]


def test_a_locust_started_by_hand_does_not_rehearse() -> None:
    """Its timer for --run-time is running already."""
    here = Staged()
    here.controller.may_rehearse = RunController(LoadSession(Environment()), "cart").may_rehearse
    here.begin(FIRST)
    assert here.events == ["begin"]


def test_a_run_that_ends_during_its_rehearsal_has_no_arrival() -> None:
    here = Staged()
    here.ends_meanwhile = True
    here.begin(FIRST)
    assert here.events == ["rehearse"]
