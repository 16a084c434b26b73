"""Kind 3: one call of every pattern through the load's own store, before any data is seeded.

A failure that every call would meet ends with exit code 2 and its cause, not with a FAIL.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Config, Load
from loadtests.errors import EXIT_ERROR, TargetError
from loadtests.load.subjects import probe_subjects
from loadtests.patterns import CARTS_TABLE, SESSIONS_TABLE
from loadtests.stores.dynamodb.boto3 import Boto3CartStore, Boto3SessionStore
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint, Endpoints
from tests.aws import without_aws
from tests.field.dynamodb_server import Answer, fake_dynamodb, refusal

LINE: dict[str, Any] = {"Attributes": {"quantity": {"N": "1"}}}
WORKING: dict[str, Answer] = {
    "UpdateItem": (200, LINE),
    "GetItem": (200, {"Item": {}}),
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_aws(monkeypatch, tmp_path)


def config_of(client: str) -> Config:
    return Config(load=Load(backend="dynamodb", driver="boto3" if client == "boto3" else "wire"))


def failure(client: str, endpoint: DynamoDBEndpoint) -> TargetError:
    with pytest.raises(TargetError) as caught:
        probe_subjects(config_of(client), Endpoints(endpoint))
    assert caught.value.exit_code == EXIT_ERROR
    return caught.value


@pytest.mark.parametrize("client", ["wire", "boto3"])
@pytest.mark.parametrize(
    ("code", "message", "reason", "hint"),
    [
        ("ResourceNotFoundException", "", "there is no such table", "access key and region"),
        ("ExpiredTokenException", "", "the credentials have expired", "Renew"),
        ("UnrecognizedClientException", "", "does not know the access key", "AWS_ACCESS_KEY_ID"),
        (
            "AccessDeniedException",
            "not authorized to perform: dynamodb:UpdateItem on x",
            "may not use dynamodb:UpdateItem",
            "Allow dynamodb:UpdateItem",
        ),
        ("InvalidSignatureException", "Signature expired: 2 < 3", "clock is wrong", "clock"),
        ("InvalidSignatureException", "should be scoped to a valid region", "region", "--region"),
        ("InvalidSignatureException", "does not match", "the secret key does not", "secret key"),
    ],
)
def test_a_refusal_that_every_call_would_meet(
    client: str, code: str, message: str, reason: str, hint: str
) -> None:
    """Set-up passed and the load's calls failed: 100% errors, and the verdict was FAIL."""
    with fake_dynamodb({"UpdateItem": refusal(code, message)}) as server:
        error = failure(client, DynamoDBEndpoint(server.url))
    assert error.message.startswith(f"cart.add through {client} failed: ")
    assert reason in error.message
    assert hint in error.hint


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServerError"])
def test_a_passing_failure_is_left_to_the_load(code: str) -> None:
    """A database that throttles is what a load test measures."""
    answers = {name: refusal(code) for name in ("UpdateItem", "PutItem")}
    with fake_dynamodb(answers) as server:
        probe_subjects(config_of("wire"), Endpoints(DynamoDBEndpoint(server.url)))


def elsewhere(endpoints: Endpoints) -> object:
    """A factory of a user, whose stores reach the server under keys of their own."""
    assert endpoints.dynamodb is not None
    own = replace(endpoints.dynamodb, keys=AwsKeys("other", "x"), region="eu-west-1")
    return Boto3CartStore(own), Boto3SessionStore(own)


def test_a_store_that_reaches_other_tables() -> None:
    """DynamoDB Local without -sharedDb: seeded under one access key, loaded under another."""
    answers: dict[str, Answer] = {"UpdateItem": (200, LINE), "GetItem": (200, {})}
    with fake_dynamodb(answers) as server:
        config = Config(
            load=Load(
                backend="dynamodb",
                subjects=f"dynamodb/{__name__}:elsewhere dynamodb/wire",
            )
        )
        with pytest.raises(TargetError, match="did not write to") as caught:
            probe_subjects(config, Endpoints(DynamoDBEndpoint(server.url)))
    assert "credentials" in caught.value.hint


@pytest.mark.embedded
@pytest.mark.parametrize("client", ["wire", "boto3"])
def test_nothing_stays_behind(client: str, dynamodb: DynamoDBEndpoint) -> None:
    """The probe's own rows are removed, so that no figure depends on them."""
    setup = dynamodb_client(dynamodb)

    def counts() -> list[int]:
        return [
            setup.scan(TableName=table, Select="COUNT")["Count"]
            for table in (CARTS_TABLE, SESSIONS_TABLE)
        ]

    before = counts()
    probe_subjects(config_of(client), Endpoints(replace(dynamodb, embedded=False)))
    assert counts() == before
    setup.close()
