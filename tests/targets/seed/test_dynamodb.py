"""Seeding DynamoDB when it does not write everything at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from loadtests.config import Data
from loadtests.errors import ProvisionError
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.dynamodb import seed_dynamodb

NOW = datetime.now(UTC).replace(microsecond=0)


def own_data(seed: int) -> Dataset:
    """A little data under keys that no other test uses."""
    return make_dataset(Data(users=12, books=20), seed, NOW)


def test_a_dynamodb_that_never_takes_all_is_given_up_on() -> None:
    class Stuck:
        def scan(self, **_: Any) -> dict[str, Any]:
            return {"Items": []}

        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
            return {"UnprocessedItems": RequestItems}

    with pytest.raises(ProvisionError, match="kept throttling"):
        seed_dynamodb(
            cast("DynamoDBClient", Stuck()), own_data(905), lambda p: None, pause=lambda s: None
        )


def test_a_part_that_dynamodb_did_not_take_is_sent_again() -> None:
    data = own_data(904)

    class Throttling:
        """Writes one item of a large batch, and refuses the rest."""

        def __init__(self) -> None:
            self.written: set[tuple[str, ...]] = set()
            self.refused = 0

        def scan(self, **_: Any) -> dict[str, Any]:
            return {"Items": []}

        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
            left: dict[str, list[Any]] = {}
            for table, requests in RequestItems.items():
                for place, request in enumerate(requests):
                    if place and len(requests) > 20:
                        left.setdefault(table, []).append(request)
                        self.refused += 1
                    else:
                        item = request["PutRequest"]["Item"]
                        self.written.add(
                            tuple(v["S"] for k, v in item.items() if k.endswith("_id"))
                        )
            return {"UnprocessedItems": left}

    throttling = Throttling()
    pauses: list[float] = []
    seed_dynamodb(cast("DynamoDBClient", throttling), data, lambda p: None, pause=pauses.append)
    assert throttling.refused
    assert pauses[:3] == [0.1, 0.2, 0.4]  # ever longer
    assert len(throttling.written) == sum(map(len, data.carts)) + len(data.sessions)
