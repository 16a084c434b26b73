"""The wire driver in a process that gevent has patched, as Locust makes it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from loadtests.calibrate.ground_truth import GroundTruth
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer

CLIENT = """
from gevent import monkey
monkey.patch_all()
import gc, json, sys
import gevent
from loadtests.stores.dynamodb.wire import WireSessionStore
from loadtests.stores.http.cooperative import GeventTransport
from loadtests.targets.endpoints import DynamoDBEndpoint
from datetime import UTC, datetime

endpoint = DynamoDBEndpoint(sys.argv[1])
now = datetime.now(UTC)
stores = [WireSessionStore(endpoint) for _ in range(20)]

def use(store):
    for turn in range(10):
        assert store.get(f"absent-{turn}", now) is None
        assert store.wire_ns > 0
    return type(store._connection._transport) is GeventTransport

calls = [gevent.spawn(use, store) for store in stores]
gevent.joinall(calls, raise_error=True)
cooperative = [call.value for call in calls]

victim = gevent.spawn(stores[0].get, "absent", now)
gevent.sleep(0)
victim.kill()
forgotten = stores[0]._connection._transport is None
again = stores[0].get("absent", now) is None
for store in stores:
    store.close()
print(json.dumps({"cooperative": all(cooperative), "forgotten": forgotten, "again": again}))
"""


Outcome = tuple[dict[str, bool], GroundTruth]


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    with ScriptedServer(SCRIPTS["constant"]) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", CLIENT, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), server.truth


def test_the_cooperative_transport_is_chosen(outcome: Outcome) -> None:
    facts, _ = outcome
    assert facts["cooperative"]


def test_calls_of_many_greenlets_overlap(outcome: Outcome) -> None:
    """While one waits for its 2 ms, others send: the server holds many at a time."""
    _, truth = outcome
    at_once = (truth.arrival_ns[:, None] >= truth.arrival_ns) & (
        truth.arrival_ns[:, None] < truth.done_ns
    )
    assert np.median(at_once.sum(axis=1)) > 5


def test_a_killed_call_leaves_no_half_read_connection_behind(outcome: Outcome) -> None:
    facts, _ = outcome
    assert facts["forgotten"]
    assert facts["again"]
