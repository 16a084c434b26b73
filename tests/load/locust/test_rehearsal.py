"""Which databases are rehearsed on, and how the calls are shared out."""

from __future__ import annotations

import pytest

from loadtests.config import Config, Load
from loadtests.load.locust.rehearsal import REHEARSAL_S, plan_rehearsal
from loadtests.load.loop.run import Rehearsal
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import LoadSubject
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

DYNAMODB = LoadSubject("dynamodb", "wire", "wire")
POSTGRES = LoadSubject("postgres", "psycopg", "psycopg", 1)
EMBEDDED = Endpoints(
    dynamodb=DynamoDBEndpoint("http://127.0.0.1:8000", embedded=True),
    postgres=PostgresEndpoint("host=127.0.0.1", embedded=True),
)


def planned(
    *subjects: LoadSubject,
    endpoints: Endpoints = EMBEDDED,
    warm_up_s: float = 10.0,
    share: WorkerShare | None = None,
) -> Rehearsal | None:
    config = Config(load=Load(warm_up=warm_up_s))
    return plan_rehearsal(config, endpoints, subjects, share or WorkerShare())


def test_every_embedded_backend_gets_its_calls() -> None:
    rehearsal = planned(DYNAMODB, POSTGRES)
    assert rehearsal == Rehearsal([20_000, 2_000], [4, 1_000], REHEARSAL_S)


@pytest.mark.parametrize(
    ("url", "emulator"),
    [
        ("https://dynamodb.us-east-1.amazonaws.com", False),
        ("https://dynamodb.example", True),
        ("http://127.0.0.1:8000", True),
    ],
    ids=["aws", "url", "local"],
)
def test_a_database_that_the_harness_did_not_start_gets_no_burst(url: str, emulator: bool) -> None:
    theirs = Endpoints(
        dynamodb=DynamoDBEndpoint(url, emulator=emulator),
        postgres=PostgresEndpoint("host=db.example"),
    )
    assert planned(DYNAMODB, POSTGRES, endpoints=theirs) is None
    mixed = Endpoints(dynamodb=theirs.dynamodb, postgres=EMBEDDED.postgres)
    rehearsal = planned(DYNAMODB, POSTGRES, endpoints=mixed)
    assert rehearsal is not None
    assert rehearsal.calls == [0, 2_000]


def test_a_factory_may_call_any_database_so_it_gets_no_burst() -> None:
    factory = LoadSubject("dynamodb", "our.stores:factory", "our.stores-factory")
    assert planned(factory) is None
    rehearsal = planned(DYNAMODB, factory)
    assert rehearsal is not None
    assert rehearsal.calls == [20_000, 0]


def test_dispatchers_of_one_backend_and_workers_share_its_calls() -> None:
    rehearsal = planned(DYNAMODB, POSTGRES, DYNAMODB, share=WorkerShare(1, 4))
    assert rehearsal is not None
    assert rehearsal.calls == [2_500, 500, 2_500]


def test_a_rehearsal_is_no_longer_than_the_warm_up() -> None:
    rehearsal = planned(DYNAMODB, warm_up_s=1.5)
    assert rehearsal is not None
    assert rehearsal.longest_s == 1.5
    assert planned(DYNAMODB, warm_up_s=0.0) is None


def test_stores_that_the_scenario_makes_get_no_burst() -> None:
    """They may call any database, or none: an HTTP API in production."""
    rehearsal = plan_rehearsal(
        Config(load=Load()), EMBEDDED, [DYNAMODB, POSTGRES], WorkerShare(), foreign=[0]
    )
    assert rehearsal is not None
    assert rehearsal.calls == [0, 2_000]
