from __future__ import annotations

from loadtests.load.child_environment import (
    environment_for_child,
    inherited_endpoints,
    may_rehearse,
    run_id_for,
)
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint


def test_a_child_is_passed_endpoints_run_id_and_that_its_parent_waits_for_time_0() -> None:
    endpoints = Endpoints(postgres=PostgresEndpoint("postgresql://u:secret@127.0.0.1/db"))
    environ = environment_for_child(endpoints, "the-run")
    assert inherited_endpoints(environ) == endpoints
    assert run_id_for("cart", environ) == "the-run"
    assert may_rehearse(environ)


def test_a_locust_started_by_hand_opens_its_own_databases_and_does_not_rehearse() -> None:
    assert inherited_endpoints({}) is None
    assert not may_rehearse({})
    assert run_id_for("cart", {}).split("-")[1] == "cart"
