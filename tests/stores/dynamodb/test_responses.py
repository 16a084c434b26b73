"""DynamoDB responses as records, and refusals as errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from loadtests.dynamodb_items import cart_item_to_attributes, session_to_attributes
from loadtests.errors import (
    BackendError,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
    SessionNotFound,
)
from loadtests.stores.dynamodb import requests, responses
from loadtests.stores.dynamodb.requests import DynamoDBRequest
from loadtests.stores.dynamodb.responses import CapacityUnits
from tests.stores.records import BOOK, LINE, NOW, SESSION, SUMMARY


def test_pages_go_on_where_the_last_one_ended() -> None:
    request = requests.get_cart("u")
    key = {"user_id": {"S": "u"}, "book_id": {"S": "b"}}
    following = responses.next_page(request, {"Items": [], "LastEvaluatedKey": key})
    assert following is not None
    assert following.body == {**request.body, "ExclusiveStartKey": key}
    assert responses.next_page(following, {"Items": []}) is None
    assert "ExclusiveStartKey" not in request.body


def test_reading() -> None:
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
def test_an_answer_of_another_shape_is_invalid(read: Callable[[], object]) -> None:
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
def test_a_failed_condition_is_the_patterns_own_error(
    request_: DynamoDBRequest, error: type[Exception], prefix: str
) -> None:
    call_error = responses.call_error(request_, prefix + "ConditionalCheckFailedException")
    assert type(call_error) is error
    assert call_error.name == error.__name__
    assert str(call_error)


def test_any_other_refusal_keeps_dynamodbs_name() -> None:
    error = responses.call_error(requests.get_cart("u"), "x#ThrottlingException", "Slow down")
    assert (type(error), error.name) == (BackendError, "ThrottlingException")
    assert "Slow down" in str(error)


def test_capacity() -> None:
    request = requests.get_cart("u")
    asked = requests.ask_capacity(request)
    assert asked.body["ReturnConsumedCapacity"] == "TOTAL"
    assert "ReturnConsumedCapacity" not in request.body
    answer = {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.5}}
    assert responses.read_capacity(asked, answer) == CapacityUnits(2.5, 0)
    assert responses.read_capacity(requests.remove_line("u", "b"), answer) == CapacityUnits(0, 2.5)
    assert responses.read_capacity(asked, {}) is None
