"""The wire driver against a server that does everything wrong, on both transports."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from loadtests.dynamodb_items import cart_item_to_attributes
from loadtests.errors import (
    BackendError,
    CallTimeout,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
)
from loadtests.stores.dynamodb.wire import WireCartStore, WireSessionStore
from loadtests.stores.http import connection
from loadtests.stores.http import response as http_response
from loadtests.targets.endpoints import DynamoDBEndpoint

from .hostile import HostileServer, Peer, answering, hostile, ok
from .wire_samples import BOOK, LINE, SESSION

NOW = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
ITEM = orjson.dumps({"Item": cart_item_to_attributes(LINE)})
GOOD = ok(ITEM)


@pytest.fixture(autouse=True, params=["blocking", "gevent"])
def transport(request, monkeypatch):
    monkeypatch.setattr(connection, "gevent_has_patched", lambda: request.param == "gevent")
    return request.param


@pytest.fixture
def carts():
    """Opens cart stores, and closes them."""
    opened = []

    def open_store(server: HostileServer, timeout_s: float = 5.0, **options) -> WireCartStore:
        opened.append(WireCartStore(DynamoDBEndpoint(server.url), timeout_s=timeout_s, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()
        store.close()


def get(store: WireCartStore):
    return store.get_item(LINE.user_id, LINE.book_id)


def refusal(store: WireCartStore, kind=BackendError) -> str:
    """The name of the error that a call ends with; the wire time is there all the same."""
    with pytest.raises(kind) as caught:
        get(store)
    assert type(caught.value) is kind
    return caught.value.name


def framed(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def test_one_connection_serves_all_calls(carts):
    with hostile(answering(GOOD)) as server:
        store = carts(server)
        for _ in range(20):
            assert get(store) == LINE
            assert store.wire_ns > 0
        assert server.connections == 1


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunked_answers_are_read(carts, size):
    body = chunked(ITEM, size)
    with hostile(answering(framed(body, b"Transfer-Encoding: chunked"))) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3
        assert server.connections == 1


def test_an_answer_may_come_in_pieces(carts):
    def act(peer: Peer) -> None:
        while peer.read_request():
            for at in range(0, len(GOOD), 97):
                peer.ended.wait(0.001)
                peer.say(GOOD[at : at + 97])

    with hostile(act) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3


def test_an_interim_response_is_only_a_foreword(carts):
    with hostile(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD)) as server:
        assert get(carts(server)) == LINE


@pytest.mark.parametrize("part", [GOOD[:9], GOOD[:60], GOOD[:-1]])
def test_slow_loris_ends_at_the_deadline(carts, part):
    """However often a byte comes, the whole answer must be there in time."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.drip(part)
        peer.hang()

    with hostile(act, answering(GOOD)) as server:
        store = carts(server, timeout_s=0.3)
        assert refusal(store, CallTimeout) == "CallTimeout"
        assert store.wire_ns >= 250_000_000
        assert get(store) == LINE  # on a new connection: the old one might still speak
        assert server.connections == 2


def test_silence_ends_at_the_deadline(carts):
    with hostile(Peer.hang) as server:
        store = carts(server, timeout_s=0.2)
        assert refusal(store, CallTimeout) == "CallTimeout"


def test_a_late_answer_is_never_taken_for_the_next_calls(carts):
    other = ok(ITEM.replace(b'"N":"2"', b'"N":"9"'))

    def late(peer: Peer) -> None:
        peer.read_request()
        peer.ended.wait(0.4)
        peer.say(other)
        peer.hang()

    with hostile(late, answering(GOOD)) as server:
        store = carts(server, timeout_s=0.2)
        assert refusal(store, CallTimeout) == "CallTimeout"
        assert get(store) == LINE


def test_closing_in_the_middle_is_an_error_by_name(carts):
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(GOOD[:-5])

    with hostile(act) as server:
        assert refusal(carts(server)) == "ConnectionClosed"


def test_closing_instead_of_answering_is_an_error_and_not_tried_again(carts):
    asked = []

    def act(peer: Peer) -> None:
        asked.append(peer.read_request())

    with hostile(act) as server:
        assert refusal(carts(server)) in {"ConnectionClosed", "ConnectionReset"}
        assert len(asked) == server.connections == 1


def test_a_connection_closed_while_idle_is_opened_anew(carts):
    closed = []

    def once(peer: Peer) -> None:
        peer.read_request()
        peer.say(GOOD)
        closed.append(True)

    with hostile(once) as server:
        store = carts(server)
        for turn in range(3):
            assert get(store) == LINE
            wait_until_closed(store, closed, turn + 1)
        assert server.connections == 3


def wait_until_closed(store, closed, times: int) -> None:
    """Until the client's side knows of it, with the hub running where there is one."""
    import gevent

    for _ in range(500):
        if len(closed) == times and not store._connection._transport.usable():
            return
        gevent.sleep(0.01)
    raise AssertionError("the client never learnt that the server closed")


def test_connection_close_is_obeyed(carts):
    with hostile(answering(ok(ITEM, b"Connection: close"))) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3
        assert server.connections == 3


def test_a_refused_connection_has_a_name(carts):
    with hostile(answering(GOOD)) as server:
        store = carts(server)
    assert refusal(store) == "ConnectionRefused"
    assert store.wire_ns == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\xff garbage \r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        framed(ITEM, b"Content-Length: x"),
        framed(ITEM, b"Content-Length: -1"),
        framed(ITEM, b"Content-Length: %d" % len(ITEM), b"Content-Length: 2"),
        framed(ITEM, b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        framed(b"zz\r\n" + ITEM, b"Transfer-Encoding: chunked"),
        framed(ITEM, b"Content-Length: %d" % len(ITEM), b"Content-Encoding: gzip"),
        framed(ITEM, b"Content-Length: %d" % len(ITEM), b"x-amz-crc32: nine"),
        framed(ITEM, b"Content-Length: %d" % (len(ITEM) - 1)),
        GOOD + GOOD,
        GOOD + b"more",
        framed(ITEM, *[b"X-%d: y" % i + b"z" * 2000 for i in range(40)], b"Content-Length: 2"),
    ],
)  # fmt: skip
def test_what_is_not_http_is_an_invalid_response(carts, answer):
    with hostile(answering(answer), answering(GOOD)) as server:
        store = carts(server)
        assert refusal(store, ResponseInvalid) == "NotHttp"
        assert get(store) == LINE
        assert server.connections == 2


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        GOOD[:-1] + b"}}",
        GOOD.replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length"),
        GOOD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        GOOD + GOOD,
    ],
)
def test_the_quick_way_is_as_strict_as_the_careful_one(carts, answer, first):
    """A server known to be good turns bad: what is refused at first is refused then, too."""
    answers = (answer,) if first else (GOOD, GOOD, answer)
    with hostile(answering(*answers)) as server:
        store = carts(server)
        for _ in answers[:-1]:
            assert get(store) == LINE
        assert refusal(store, ResponseInvalid) == "NotHttp"


def test_a_body_without_an_end_is_cut_at_the_limit(carts, monkeypatch):
    monkeypatch.setattr(http_response, "BODY_LIMIT", 100_000)

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(framed(b"", b"Transfer-Encoding: chunked"))
        while not peer.ended.is_set():
            peer.say(b"1000\r\n" + b" " * 4096 + b"\r\n")

    with hostile(act) as server:
        assert refusal(carts(server), ResponseInvalid) == "NotHttp"


def test_headers_without_an_end_are_cut_at_the_limit(carts):
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(b"HTTP/1.1 200 OK\r\n")
        while not peer.ended.is_set():
            peer.say(b"X-More: " + b"y" * 1000 + b"\r\n")

    with hostile(act) as server:
        assert refusal(carts(server), ResponseInvalid) == "NotHttp"


def test_a_checksum_is_checked(carts):
    right = ok(ITEM, b"x-amz-crc32: %d" % zlib.crc32(ITEM))
    wrong = ok(ITEM, b"x-amz-crc32: %d" % (zlib.crc32(ITEM) ^ 1))
    with hostile(answering(right, right, wrong), answering(wrong), answering(right)) as server:
        store = carts(server)
        assert get(store) == get(store) == LINE
        assert refusal(store, ResponseInvalid) == "ChecksumMismatch"  # the quick way
        assert refusal(store, ResponseInvalid) == "ChecksumMismatch"  # the careful one
        assert get(store) == LINE


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
def test_a_page_of_something_in_between_is_named_by_its_status(carts, answer, name):
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
def test_refusals_keep_dynamodbs_name_and_are_not_tried_again(carts, name, status):
    asked = []

    def act(peer: Peer) -> None:
        while request := peer.read_request():
            asked.append(request)
            peer.say(refusing(name, status))

    with hostile(act) as server:
        assert refusal(carts(server)) == name
        assert len(asked) == 1


def test_a_failed_condition_means_what_the_call_says(carts):
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
def test_json_of_the_wrong_kind_is_an_invalid_response(carts, body):
    with hostile(answering(ok(body))) as server:
        assert refusal(carts(server), ResponseInvalid) == "ResponseInvalid"
        assert server.connections == 1


@pytest.mark.parametrize("body", [b"{}", b'{"Items":7}', b'{"Items":[7]}', b'{"Items":{}}'])
def test_a_query_answered_with_the_wrong_kind_is_invalid(carts, body):
    with hostile(answering(ok(body))) as server, pytest.raises(ResponseInvalid):
        carts(server).get(LINE.user_id)


def page(lines: int, last: object) -> bytes:
    items = [cart_item_to_attributes(LINE)] * lines
    return ok(orjson.dumps({"Items": items, "Count": lines, "LastEvaluatedKey": last}))


KEY = {"user_id": {"S": LINE.user_id}, "book_id": {"S": LINE.book_id}}


def test_pages_of_a_megabyte_are_followed_to_the_end(carts):
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


def test_a_pagination_that_never_ends_is_ended(carts):
    with hostile(answering(page(0, KEY))) as server, pytest.raises(ResponseInvalid, match="pages"):
        carts(server).get(LINE.user_id)


def test_the_deadline_spans_all_pages(carts):
    def act(peer: Peer) -> None:
        while peer.read_request():
            peer.ended.wait(0.03)
            peer.say(page(0, KEY))

    with hostile(act) as server, pytest.raises(CallTimeout):
        carts(server, timeout_s=0.4).get(LINE.user_id)


@pytest.mark.parametrize("last", [7, "x", [1]])
def test_a_last_key_of_the_wrong_kind_ends_somehow(carts, last):
    with hostile(answering(page(0, last), page(0, None))) as server:
        assert carts(server).get(LINE.user_id) == []


def test_capacity_is_told_when_asked_for(carts):
    with hostile(answering(ok(b'{"ConsumedCapacity":{"CapacityUnits":0.5}}'))) as server:
        store = carts(server, ask_capacity=True)
        assert get(store) is None
        assert store.capacity == (0.5, 0.0)


BIG = replace(SESSION, user_agent="x" * 20_000_000)  # more than any socket buffers


def test_a_request_larger_than_the_socket_takes_is_sent_whole():
    received = []

    def act(peer: Peer) -> None:
        peer.ended.wait(0.1)  # let the client run into the full buffer
        received.append(len(peer.read_request().partition(b"\r\n\r\n")[2]))
        peer.say(ok(b"{}"))
        peer.hang()

    with hostile(act) as server:
        store = WireSessionStore(DynamoDBEndpoint(server.url))
        store.create(BIG)
        store.close()
    assert received[0] > 20_000_000


def test_a_server_that_does_not_read_ends_at_the_deadline():
    with hostile(lambda peer: peer.ended.wait()) as server:
        store = WireSessionStore(DynamoDBEndpoint(server.url), timeout_s=0.3)
        with pytest.raises(CallTimeout):
            store.create(BIG)
        assert store.wire_ns > 0
        store.close()


def test_what_is_sent_is_awss_json_protocol(carts):
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
