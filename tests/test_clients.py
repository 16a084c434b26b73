"""Clients of the run's databases, for stores of one's own."""

from __future__ import annotations

import pytest

from loadtests.clients import dynamodb_client, postgres_connection
from loadtests.errors import UsageError
from loadtests.patterns import CARTS_TABLE
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints


@pytest.mark.parametrize(
    ("make", "name"), [(dynamodb_client, "DynamoDB"), (postgres_connection, "PostgreSQL")]
)
def test_a_database_that_is_not_part_of_the_run(make: object, name: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match=f"{name} is not part of this run") as caught:
        make(Endpoints())
    assert "--backend" in caught.value.hint


def test_a_client_retries_no_call() -> None:
    client = dynamodb_client(Endpoints(dynamodb=DynamoDBEndpoint("http://127.0.0.1:1")))
    assert vars(client.meta.config)["retries"]["total_max_attempts"] == 1
    client.close()


def test_both_reach_the_databases_of_the_run(endpoints: Endpoints) -> None:
    client = dynamodb_client(endpoints)
    assert CARTS_TABLE in client.list_tables()["TableNames"]
    client.close()
    with postgres_connection(endpoints) as connection:
        assert connection.autocommit
        assert connection.prepare_threshold
        assert connection.execute("select count(*) > 0 from books").fetchone() == (True,)
