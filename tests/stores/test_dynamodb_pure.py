"""Requests, responses and refusals of DynamoDB, without a DynamoDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from loadtests.dynamodb_items import cart_item_to_attributes, session_to_attributes
from loadtests.errors import (
    BackendError,
    CallTimeout,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
    SessionNotFound,
)
from loadtests.model import Book, CartItem, CartSummary, Preferences, Session, SessionData
from loadtests.stores.dynamodb import requests, responses
from loadtests.stores.dynamodb.botocore_client import client_error, config_settings
from loadtests.stores.dynamodb.responses import CapacityUnits
from loadtests.targets.endpoints import DynamoDBEndpoint, client_settings

NOW = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
BOOK = Book("b", "t", Decimal("1E+1"), "i")
LINE = CartItem("u", "b", 2, NOW, NOW, "t", Decimal("29.99"), "i")
SESSION = Session(
    "s", "u", SessionData(Preferences("dark", "en", "USD"), ("b",), ()),
    CartSummary(1, Decimal("2.50"), NOW), NOW, NOW, int(NOW.timestamp()) + 86_400, "::1", "ua",
)  # fmt: skip
SUMMARY = CartSummary(1, Decimal(1), NOW)


@pytest.mark.parametrize(
    ("operation", "build"),
    [
        ("Query", lambda consistent: requests.get_cart("u", consistent=consistent)),
        ("GetItem", lambda consistent: requests.get_line("u", "b", consistent=consistent)),
        ("GetItem", lambda consistent: requests.get_session("s", consistent=consistent)),
    ],
)
def test_reads_are_consistent_or_not_as_told(operation, build):
    assert build(True).operation == operation
    assert build(True).body["ConsistentRead"] is True
    assert build(False).body["ConsistentRead"] is False


@pytest.mark.parametrize("quantity", [-1, 0, 100])
def test_quantities_are_refused_before_anything_is_sent(quantity):
    with pytest.raises(QuantityRefused):
        requests.add_line("u", BOOK, quantity, NOW)
    with pytest.raises(QuantityRefused):
        requests.update_line("u", "b", quantity, NOW)


def test_prices_are_written_out():
    values = requests.add_line("u", BOOK, 1, NOW).body["ExpressionAttributeValues"]
    assert values[":price"] == {"N": "10"}


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_the_whole_second_of_the_condition_means_after_now(microsecond, difference):
    """`expires_at > :second` says what `expires_at > now` does, though it drops the fraction."""
    now = NOW.replace(microsecond=0) + timedelta(microseconds=microsecond)
    values = requests.refresh_session("s", now).body["ExpressionAttributeValues"]
    expires_at = int(NOW.timestamp()) + difference
    assert (expires_at > int(values[":second"]["N"])) == (expires_at > now.timestamp())


def test_pages_go_on_where_the_last_one_ended():
    request = requests.get_cart("u")
    key = {"user_id": {"S": "u"}, "book_id": {"S": "b"}}
    following = responses.next_page(request, {"Items": [], "LastEvaluatedKey": key})
    assert following.body == {**request.body, "ExclusiveStartKey": key}
    assert responses.next_page(following, {"Items": []}) is None
    assert "ExclusiveStartKey" not in request.body


def test_reading():
    item = cart_item_to_attributes(LINE)
    assert responses.read_lines({"Items": [item, item]}) == [LINE, LINE]
    assert responses.read_line({"Item": item}) == LINE
    assert responses.read_line({}) is None
    assert responses.read_quantity({"Attributes": {"quantity": {"N": "7"}}}) == 7
    answer = {"Item": session_to_attributes(SESSION)}
    assert responses.read_session(answer, NOW) == SESSION
    assert responses.read_session({}, NOW) is None
    assert responses.read_session(answer, NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(
    "read",
    [
        lambda: responses.read_lines({}),
        lambda: responses.read_lines({"Items": {"S": "x"}}),
        lambda: responses.read_lines({"Items": [{}]}),
        lambda: responses.read_lines({"Items": ["x"]}),
        lambda: responses.read_line({"Item": {"user_id": {"S": "u"}}}),
        lambda: responses.read_line({"Item": []}),
        lambda: responses.read_quantity({}),
        lambda: responses.read_quantity({"Attributes": {"quantity": {"N": "x"}}}),
        lambda: responses.read_quantity({"Attributes": None}),
        lambda: responses.read_session({"Item": {"session_id": {"S": 7}}}, NOW),
    ],
)
def test_an_answer_of_another_shape_is_invalid(read):
    with pytest.raises(ResponseInvalid):
        read()


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (requests.add_line("u", BOOK, 1, NOW), QuantityRefused),
        (requests.update_line("u", "b", 1, NOW), LineNotFound),
        (requests.remove_line("u", "b"), LineNotFound),
        (requests.refresh_session("s", NOW), SessionNotFound),
        (requests.store_summary("s", SUMMARY, NOW), SessionNotFound),
    ],
)
@pytest.mark.parametrize("prefix", ["", "com.amazonaws.dynamodb.v20120810#"])
def test_a_failed_condition_is_the_patterns_own_error(request_, error, prefix):
    found = responses.call_error(request_, prefix + "ConditionalCheckFailedException")
    assert type(found) is error
    assert found.name == error.__name__
    assert str(found)


def test_any_other_refusal_keeps_dynamodbs_name():
    error = responses.call_error(requests.get_cart("u"), "x#ThrottlingException", "Slow down")
    assert (type(error), error.name) == (BackendError, "ThrottlingException")
    assert "Slow down" in str(error)


def test_capacity():
    request = requests.get_cart("u")
    asked = requests.ask_capacity(request)
    assert asked.body["ReturnConsumedCapacity"] == "TOTAL"
    assert "ReturnConsumedCapacity" not in request.body
    answer = {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.5}}
    assert responses.read_capacity(asked, answer) == CapacityUnits(2.5, 0)
    assert responses.read_capacity(requests.remove_line("u", "b"), answer) == CapacityUnits(0, 2.5)
    assert responses.read_capacity(asked, {}) is None


@pytest.mark.parametrize(
    ("raised", "error", "name"),
    [
        (ClientError({"Error": {"Code": "502"}}, "Query"), BackendError, "HTTP 502"),
        (
            ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"),
            BackendError,
            "ThrottlingException",
        ),
        (ClientError({}, "Query"), BackendError, "UnknownError"),
        (ReadTimeoutError(endpoint_url="http://x"), CallTimeout, "CallTimeout"),
        (
            EndpointConnectionError(endpoint_url="http://x", error="refused"),
            BackendError,
            "EndpointConnectionError",
        ),
        (ResponseParserError("no JSON"), ResponseInvalid, "ResponseInvalid"),
    ],
)
def test_what_a_botocore_client_raises(raised, error, name):
    found = client_error(requests.get_cart("u"), raised, 1.0)
    assert (type(found), found.name) == (error, name)


def test_clients_never_retry_and_emulators_need_no_credentials_or_proxy():
    emulator, aws = DynamoDBEndpoint("http://127.0.0.1:1"), DynamoDBEndpoint(None, emulator=False)
    for endpoint in (emulator, aws):
        assert config_settings(endpoint, 1.0)["retries"] == {"total_max_attempts": 1}
    assert config_settings(emulator, 1.0)["proxies"] == {}
    assert "proxies" not in config_settings(aws, 1.0)
    assert client_settings(emulator)["aws_access_key_id"]
    assert client_settings(aws) == {"region_name": "us-east-1"}
