"""The wire driver against what a DynamoDB may answer, on both transports."""

from __future__ import annotations

import orjson
import pytest

from loadtests.dynamodb_items import cart_item_to_attributes
from loadtests.errors import (
    CallTimeout,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
)
from loadtests.stores.dynamodb.wire import WireSessionStore
from loadtests.targets.endpoints import DynamoDBEndpoint
from tests.stores.conftest import OpenStore
from tests.stores.hostile import Peer, answering, hostile, ok
from tests.stores.records import BOOK, LINE, NOW, SESSION
from tests.stores.wire_calls import ITEM, framed, get, refusal

pytestmark = pytest.mark.usefixtures("transport")


PAGE = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (framed(PAGE, b"Content-Length: %d" % len(PAGE), status=b"503 Busy"), "HTTP 503"),
        (framed(PAGE, b"Connection: close", status=b"502 Bad Gateway"), "HTTP 502"),
        (framed(b"", b"Content-Length: 0", status=b"500 "), "HTTP 500"),
        (framed(b"", b"Location: http://x/", b"Content-Length: 0", status=b"301 M"), "HTTP 301"),
        (framed(b"[1]", b"Content-Length: 3", status=b"400 Bad"), "HTTP 400"),
        (framed(b'{"__type":7}', b"Content-Length: 12", status=b"400 Bad"), "HTTP 400"),
        (framed(b"", status=b"204 None"), "HTTP 204"),
    ],
)
def test_a_page_of_something_in_between_is_named_by_its_status(
    carts: OpenStore, answer: bytes, name: str
) -> None:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(answer)

    with hostile(act) as server:
        store = carts(server)
        assert refusal(store) == name
        assert store.wire_ns > 0


def refusing(name: str, status: bytes = b"400 Bad Request") -> bytes:
    body = orjson.dumps(
        {"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": "because"}
    )
    return framed(body, b"Content-Length: %d" % len(body), status=status)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ProvisionedThroughputExceededException", b"400 Bad Request"),
        ("ThrottlingException", b"400 Bad Request"),
        ("InternalServerError", b"500 Internal Server Error"),
    ],
)
def test_refusals_keep_dynamodbs_name_and_are_not_tried_again(
    carts: OpenStore, name: str, status: bytes
) -> None:
    asked = []

    def act(peer: Peer) -> None:
        while request := peer.read_request():
            asked.append(request)
            peer.say(refusing(name, status))

    with hostile(act) as server:
        assert refusal(carts(server)) == name
        assert len(asked) == 1


def test_a_failed_condition_means_what_the_call_says(carts: OpenStore) -> None:
    with hostile(answering(refusing("ConditionalCheckFailedException"))) as server:
        store = carts(server)
        with pytest.raises(LineNotFound):
            store.remove(LINE.user_id, LINE.book_id)
        with pytest.raises(QuantityRefused):
            store.add(LINE.user_id, BOOK, 1, NOW)
        assert store.wire_ns > 0
        with pytest.raises(QuantityRefused):
            store.add(LINE.user_id, BOOK, 0, NOW)
        assert store.wire_ns == 0  # nothing was sent
        assert server.connections == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"Item":7}',
        b'{"Item":[]}',
        b'{"Item":{}}',
        b"[" * 10_000,
        ITEM.replace(b'"N":"2"', b'"N":"many"'),
        ITEM.replace(b'"N":"2"', b'"N":[2]'),
        ITEM.replace(b'"N":"2"', b'"S":"2"'),
        ITEM.replace(b'{"N":"2"}', b"2"),
        ITEM.replace(b'"N":"2"', b'"N":null'),
    ],
)
def test_json_of_the_wrong_kind_is_an_invalid_response(carts: OpenStore, body: bytes) -> None:
    with hostile(answering(ok(body))) as server:
        assert refusal(carts(server), ResponseInvalid) == "ResponseInvalid"
        assert server.connections == 1


@pytest.mark.parametrize("body", [b"{}", b'{"Items":7}', b'{"Items":[7]}', b'{"Items":{}}'])
def test_a_query_answered_with_the_wrong_kind_is_invalid(carts: OpenStore, body: bytes) -> None:
    with hostile(answering(ok(body))) as server, pytest.raises(ResponseInvalid):
        carts(server).get(LINE.user_id)


def page(lines: int, last: object) -> bytes:
    items = [cart_item_to_attributes(LINE)] * lines
    return ok(orjson.dumps({"Items": items, "Count": lines, "LastEvaluatedKey": last}))


KEY = {"user_id": {"S": LINE.user_id}, "book_id": {"S": LINE.book_id}}


def test_pages_of_a_megabyte_are_followed_to_the_end(carts: OpenStore) -> None:
    asked = []

    def act(peer: Peer) -> None:
        for turn in range(3):
            asked.append(orjson.loads(peer.read_request().partition(b"\r\n\r\n")[2]))
            peer.say(page(3_600, KEY if turn < 2 else None))

    assert len(page(3_600, KEY)) > 1_000_000
    with hostile(act) as server:
        store = carts(server)
        assert store.get(LINE.user_id) == [LINE] * 10_800
        assert [request.get("ExclusiveStartKey") for request in asked] == [None, KEY, KEY]


def test_a_pagination_that_never_ends_is_ended(carts: OpenStore) -> None:
    with hostile(answering(page(0, KEY))) as server, pytest.raises(ResponseInvalid, match="pages"):
        carts(server).get(LINE.user_id)


def test_the_deadline_spans_all_pages(carts: OpenStore) -> None:
    def act(peer: Peer) -> None:
        while peer.read_request():
            peer.ended.wait(0.03)
            peer.say(page(0, KEY))

    with hostile(act) as server, pytest.raises(CallTimeout):
        carts(server, timeout_s=0.4).get(LINE.user_id)


@pytest.mark.parametrize("last", [7, "x", [1]])
def test_a_last_key_of_the_wrong_kind_ends_somehow(carts: OpenStore, last: object) -> None:
    with hostile(answering(page(0, last), page(0, None))) as server:
        assert carts(server).get(LINE.user_id) == []


def test_capacity_is_told_when_asked_for(carts: OpenStore) -> None:
    with hostile(answering(ok(b'{"ConsumedCapacity":{"CapacityUnits":0.5}}'))) as server:
        store = carts(server, ask_capacity=True)
        assert get(store) is None
        assert store.capacity == (0.5, 0.0)


def test_what_is_sent_is_awss_json_protocol(carts: OpenStore) -> None:
    asked = []

    def act(peer: Peer) -> None:
        asked.append(peer.read_request())
        peer.say(ok(b"{}"))

    with hostile(act) as server:
        store = WireSessionStore(DynamoDBEndpoint(server.url))
        store.create(SESSION)
        store.close()
        head, _, body = asked[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST / HTTP/1.1\r\n")
        assert b"\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\n" in head
        assert b"\r\nContent-Type: application/x-amz-json-1.0\r\n" in head
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n".encode() in head
        assert orjson.loads(body)["TableName"] == "cloudshelf-sessions"
