"""Access patterns as DynamoDB requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import (
    QuantityRefused,
)
from loadtests.stores.dynamodb import requests
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from tests.stores.records import BOOK, NOW


@pytest.mark.parametrize(
    ("operation", "build"),
    [
        ("Query", lambda consistent: requests.get_cart("u", consistent=consistent)),
        ("GetItem", lambda consistent: requests.get_line("u", "b", consistent=consistent)),
        ("GetItem", lambda consistent: requests.get_session("s", consistent=consistent)),
    ],
)
def test_reads_are_consistent_or_not_as_told(
    operation: str, build: Callable[[bool], DynamoDBRequest]
) -> None:
    assert build(True).operation == operation
    assert build(True).body["ConsistentRead"] is True
    assert build(False).body["ConsistentRead"] is False


@pytest.mark.parametrize("quantity", [-1, 0, 100])
def test_quantities_are_refused_before_anything_is_sent(quantity: int) -> None:
    with pytest.raises(QuantityRefused):
        requests.add_line("u", BOOK, quantity, NOW)
    with pytest.raises(QuantityRefused):
        requests.update_line("u", "b", quantity, NOW)


def test_prices_are_written_out() -> None:
    request = requests.add_line("u", replace(BOOK, price=Decimal("1E+1")), 1, NOW)
    values = request.body["ExpressionAttributeValues"]
    assert values[":price"] == {"N": "10"}


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_the_whole_second_of_the_condition_means_after_now(
    microsecond: int, difference: int
) -> None:
    """`expires_at > :second` says what `expires_at > now` does, though it drops the fraction."""
    now = NOW.replace(microsecond=0) + timedelta(microseconds=microsecond)
    values = requests.refresh_session("s", now).body["ExpressionAttributeValues"]
    expires_at = int(NOW.timestamp()) + difference
    assert (expires_at > int(values[":second"]["N"])) == (expires_at > now.timestamp())
