"""One HTTP connection against a server that does everything wrong, on both transports."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from loadtests.errors import (
    CallTimeout,
    ResponseInvalid,
)
from loadtests.stores.dynamodb.wire import WireCartStore, WireSessionStore
from loadtests.stores.http import response as http_response
from loadtests.targets.endpoints import DynamoDBEndpoint
from tests.stores.conftest import OpenStore
from tests.stores.hostile import Peer, answering, hostile, ok
from tests.stores.records import LINE, SESSION
from tests.stores.wire_calls import GOOD, ITEM, framed, get, refusal

pytestmark = pytest.mark.usefixtures("transport")


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def test_one_connection_serves_all_calls(carts: OpenStore) -> None:
    with hostile(answering(GOOD)) as server:
        store = carts(server)
        for _ in range(20):
            assert get(store) == LINE
            assert store.wire_ns > 0
        assert server.connections == 1


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_chunked_answers_are_read(carts: OpenStore, size: int) -> None:
    body = chunked(ITEM, size)
    with hostile(answering(framed(body, b"Transfer-Encoding: chunked"))) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3
        assert server.connections == 1


def test_an_answer_may_come_in_pieces(carts: OpenStore) -> None:
    def act(peer: Peer) -> None:
        while peer.read_request():
            for at in range(0, len(GOOD), 97):
                peer.ended.wait(0.001)
                peer.say(GOOD[at : at + 97])

    with hostile(act) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3


def test_an_interim_response_is_skipped(carts: OpenStore) -> None:
    with hostile(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD)) as server:
        assert get(carts(server)) == LINE


@pytest.mark.parametrize("part", [GOOD[:9], GOOD[:60], GOOD[:-1]])
def test_slow_loris_ends_at_the_deadline(carts: OpenStore, part: bytes) -> None:
    """However often a byte comes, the whole answer must be there in time."""

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.drip(part)
        peer.hang()

    with hostile(act, answering(GOOD)) as server:
        store = carts(server, timeout_s=0.3)
        assert refusal(store, CallTimeout) == "CallTimeout"
        assert store.wire_ns >= 250_000_000
        assert (
            get(store) == LINE
        )  # on a new connection: the server might still write to the old one
        assert server.connections == 2


def test_silence_ends_at_the_deadline(carts: OpenStore) -> None:
    with hostile(Peer.hang) as server:
        store = carts(server, timeout_s=0.2)
        assert refusal(store, CallTimeout) == "CallTimeout"


def test_a_late_answer_is_never_taken_for_the_next_calls(carts: OpenStore) -> None:
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


def test_closing_in_the_middle_is_an_error_by_name(carts: OpenStore) -> None:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(GOOD[:-5])

    with hostile(act) as server:
        assert refusal(carts(server)) == "ConnectionClosed"


def test_closing_instead_of_answering_is_an_error_and_not_tried_again(carts: OpenStore) -> None:
    asked = []

    def act(peer: Peer) -> None:
        asked.append(peer.read_request())

    with hostile(act) as server:
        assert refusal(carts(server)) in {"ConnectionClosed", "ConnectionReset"}
        assert len(asked) == server.connections == 1


def test_a_connection_closed_while_idle_is_opened_anew(carts: OpenStore) -> None:
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


def wait_until_closed(store: WireCartStore, closed: list[bool], times: int) -> None:
    """Until the client's side knows of it, with the hub running where there is one."""
    import gevent

    for _ in range(500):
        transport = store._connection._transport
        assert transport is not None
        if len(closed) == times and not transport.usable():
            return
        gevent.sleep(0.01)
    raise AssertionError("the client never learnt that the server closed")


def test_connection_close_is_obeyed(carts: OpenStore) -> None:
    with hostile(answering(ok(ITEM, b"Connection: close"))) as server:
        store = carts(server)
        assert [get(store) for _ in range(3)] == [LINE] * 3
        assert server.connections == 3


def test_a_refused_connection_has_a_name(carts: OpenStore) -> None:
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
)
def test_what_is_not_http_is_an_invalid_response(carts: OpenStore, answer: bytes) -> None:
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
def test_the_pattern_is_as_strict_as_llhttp(carts: OpenStore, answer: bytes, first: bool) -> None:
    """What is refused in a first response is refused after good responses, too."""
    answers = (answer,) if first else (GOOD, GOOD, answer)
    with hostile(answering(*answers)) as server:
        store = carts(server)
        for _ in answers[:-1]:
            assert get(store) == LINE
        assert refusal(store, ResponseInvalid) == "NotHttp"


def test_a_body_without_an_end_is_cut_at_the_limit(
    carts: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_response, "BODY_LIMIT", 100_000)

    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(framed(b"", b"Transfer-Encoding: chunked"))
        while not peer.ended.is_set():
            peer.say(b"1000\r\n" + b" " * 4096 + b"\r\n")

    with hostile(act) as server:
        assert refusal(carts(server), ResponseInvalid) == "NotHttp"


def test_headers_without_an_end_are_cut_at_the_limit(carts: OpenStore) -> None:
    def act(peer: Peer) -> None:
        peer.read_request()
        peer.say(b"HTTP/1.1 200 OK\r\n")
        while not peer.ended.is_set():
            peer.say(b"X-More: " + b"y" * 1000 + b"\r\n")

    with hostile(act) as server:
        assert refusal(carts(server), ResponseInvalid) == "NotHttp"


def test_a_checksum_is_checked(carts: OpenStore) -> None:
    right = ok(ITEM, b"x-amz-crc32: %d" % zlib.crc32(ITEM))
    wrong = ok(ITEM, b"x-amz-crc32: %d" % (zlib.crc32(ITEM) ^ 1))
    with hostile(answering(right, right, wrong), answering(wrong), answering(right)) as server:
        store = carts(server)
        assert get(store) == get(store) == LINE
        assert refusal(store, ResponseInvalid) == "ChecksumMismatch"  # through the pattern
        assert refusal(store, ResponseInvalid) == "ChecksumMismatch"  # through llhttp
        assert get(store) == LINE


BIG = replace(SESSION, user_agent="x" * 20_000_000)  # more than any socket buffers


def test_a_request_larger_than_the_socket_takes_is_sent_whole() -> None:
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


def wait_for_end(peer: Peer) -> None:
    peer.ended.wait()


def test_a_server_that_does_not_read_ends_at_the_deadline() -> None:
    with hostile(wait_for_end) as server:
        store = WireSessionStore(DynamoDBEndpoint(server.url), timeout_s=0.3)
        with pytest.raises(CallTimeout):
            store.create(BIG)
        assert store.wire_ns > 0
        store.close()
