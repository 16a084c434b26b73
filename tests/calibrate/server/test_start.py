"""Scripted servers as processes: what they answer, what they record, how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from loadtests.calibrate.server.scripts import MS, SCRIPTS, Script
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.config import Data
from loadtests.errors import (
    BackendError,
    LineNotFound,
    QuantityRefused,
    SessionNotFound,
    TargetError,
)
from loadtests.patterns import CLOUDSHELF_PATTERNS
from loadtests.stores.dynamodb.boto3 import Boto3CartStore
from loadtests.stores.dynamodb.wire import WireCartStore, WireSessionStore
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.seed.dataset import Dataset, make_dataset, summarise
from loadtests.targets.seed.provision import provision_dynamodb

NULL = SCRIPTS["null"]
NOW = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(Data(users=20, books=30), 1, NOW)


@pytest.mark.parametrize("driver", [WireCartStore, Boto3CartStore])
def test_the_real_set_up_and_all_nine_patterns_run_against_it(
    data: Dataset, driver: type[WireCartStore | Boto3CartStore]
) -> None:
    with ScriptedServer(NULL) as server:
        provision_dynamodb(server.endpoint, data)
        provision_dynamodb(server.endpoint, data)  # and again: tables are there, keys the same
        carts, sessions = driver(server.endpoint), WireSessionStore(server.endpoint)
        user, line = data.users[0].user_id, data.carts[0][0]
        by_book = sorted(data.carts[0], key=lambda item: item.book_id)
        assert carts.get(user) == by_book
        assert carts.get_item(user, line.book_id) == line
        later = NOW + timedelta(minutes=1)
        book = next(book for book in data.books if book.book_id == line.book_id)
        assert carts.add(user, book, 3, later) == line.quantity + 3
        carts.update(user, line.book_id, 9, later)
        assert carts.get_item(user, line.book_id) == replace(line, quantity=9, updated_at=later)
        with pytest.raises(QuantityRefused):
            carts.add(user, book, 91, later)
        carts.remove(user, line.book_id)
        assert carts.get_item(user, line.book_id) is None
        for refused in (carts.remove, lambda u, b: carts.update(u, b, 1, later)):
            with pytest.raises(LineNotFound):
                refused(user, line.book_id)
        seeded = data.sessions[0].session_id
        sessions.refresh(seeded, later)
        sessions.store_summary(seeded, summarise(data.carts[1], later), later)
        session = sessions.get(seeded, later)
        assert session == replace(
            data.sessions[0],
            last_activity=later,
            expires_at=int(later.timestamp()) + 86_400,
            cart_summary=summarise(data.carts[1], later),
        )
        assert session is not None
        sessions.create(replace(session, session_id="new"))
        assert sessions.get("new", later) is not None
        with pytest.raises(SessionNotFound):
            sessions.refresh("absent", later)
        carts.close()
        sessions.close()
    assert server.truth.patterns == CLOUDSHELF_PATTERNS
    assert len(server.truth.of("cart.get_item").code) == 3


def test_delays_are_from_the_script_in_its_order() -> None:
    script = replace(SCRIPTS["two_point"], delay_ns=MS, slow_ns=5 * MS, slow_share=0.3)
    delays = script.delays_ns(7)
    with ScriptedServer(script, seed=7) as server:
        store = WireSessionStore(server.endpoint)
        for _ in range(60):
            store.get("absent", NOW)
        store.close()
    truth = server.truth
    assert (truth.due_ns - truth.arrival_ns).tolist() == [next(delays) for _ in range(60)]
    assert (truth.error_ns >= 0).all()


def test_times_are_on_the_clients_clock() -> None:
    with ScriptedServer(SCRIPTS["constant"]) as server:
        store = WireSessionStore(server.endpoint)
        store.get("absent", NOW)
        start = time.perf_counter_ns()
        store.get("absent", NOW)
        end = time.perf_counter_ns()
        wire_ns = store.wire_ns
        store.close()
    second = server.truth.between(start, end)
    assert len(second.code) == 1
    assert 2 * MS <= second.service_ns[0] <= wire_ns + (end - start - wire_ns)


def test_a_freeze_delays_answers_and_is_recorded() -> None:
    script = Script("blink", period_ns=200 * MS, freeze_ns=100 * MS)
    with ScriptedServer(script) as server:
        store = WireSessionStore(server.endpoint)
        until = time.monotonic() + 0.9
        while time.monotonic() < until:
            store.get("absent", NOW)
        store.close()
    truth = server.truth
    assert len(truth.windows) >= 2
    assert truth.windows[0][0] >= truth.arrival_ns[0] + 100 * MS  # since the first call
    for begin, end in truth.windows:
        assert end > begin
        assert not ((truth.due_ns > begin) & (truth.due_ns < end - 50 * MS)).any()
    delayed = truth.service_ns > 50 * MS
    assert 1 <= delayed.sum() <= len(truth.windows) + 1  # one client: one call a freeze


def test_unknown_tables_and_expressions_are_refused_by_name(data: Dataset) -> None:
    with ScriptedServer(NULL) as server:
        store = Boto3CartStore(server.endpoint)
        client = store._client
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_item(TableName="elsewhere", Key={"id": {"S": "1"}})
        with pytest.raises(client.exceptions.ClientError, match="ValidationException"):
            client.update_item(
                TableName="cloudshelf-carts",
                Key={"user_id": {"S": "u"}, "book_id": {"S": "b"}},
                UpdateExpression="SET x = :x",
                ExpressionAttributeValues={":x": {"S": "y"}},
            )
        client.create_table(
            TableName="elsewhere",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.put_item(TableName="elsewhere", Item={"id": {"S": "1"}, "n": {"N": "2"}})
        assert client.get_item(TableName="elsewhere", Key={"id": {"S": "1"}})["Item"]["n"] == {
            "N": "2"
        }
        store.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 70_000,
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_bytes_that_are_no_request_cost_only_their_connection(sent: bytes) -> None:
    with ScriptedServer(NULL) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(10) == b""
        store = WireSessionStore(server.endpoint)
        assert store.get("absent", NOW) is None
        store.close()


def test_requests_may_come_in_pieces_and_together() -> None:
    body = b'{"TableName":"cloudshelf-sessions","Key":{"session_id":{"S":"x"}}}'
    request = (
        b"POST / HTTP/1.1\r\nX-AMZ-TARGET: DynamoDB_20120810.GetItem\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    with ScriptedServer(NULL) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(request), 40):
                client.sendall(request[at : at + 40])
            client.sendall(request * 3)
            response = b""
            while response.count(b"HTTP/1.1 200 OK") < 4 or not response.endswith(b"{}"):
                response += client.recv(65536)
    assert len(server.truth.of("session.get").code) == 4


def test_a_client_that_is_slow_to_read_gets_all_of_it() -> None:
    data = {"id": {"S": "1"}, "blob": {"S": "x" * 300_000}}
    with ScriptedServer(NULL) as server:
        store = Boto3CartStore(server.endpoint)
        store._client.put_item(
            TableName="cloudshelf-sessions", Item=data | {"session_id": {"S": "big"}}
        )
        body = b'{"TableName":"cloudshelf-sessions","Key":{"session_id":{"S":"big"}}}'
        request = b"POST / HTTP/1.1\r\nX-Amz-Target: D.GetItem\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(request * 40)  # 12 MB of answers, more than sockets hold
            received = 0
            while received < 40 * 300_000:
                received += len(client.recv(1 << 20))
        assert store.get("absent") == []
        store.close()


def test_it_ends_with_its_parents_pipe_and_leaves_nothing() -> None:
    server = ScriptedServer(NULL)
    with server:
        process = psutil.Process(server.pid)
        folder = server._folder.name
        assert os.path.isdir(folder)
    assert not process.is_running()
    assert not os.path.exists(folder)
    with pytest.raises(BackendError, match="127"):
        WireSessionStore(server.endpoint).get("absent", NOW)


ORPHAN = """
import os, signal
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
server = ScriptedServer(SCRIPTS["null"]).__enter__()
print(server.pid, server._folder.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_and_tidies_up_when_its_parent_is_killed() -> None:
    process = subprocess.run(
        [sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60, check=False
    )
    pid, folder = process.stdout.split()
    until = time.monotonic() + 30
    while psutil.pid_exists(int(pid)) or os.path.exists(folder):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_server_that_died_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="died"), ScriptedServer(NULL) as server:
        os.kill(server.pid, signal.SIGKILL)


def test_a_server_that_cannot_start_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="did not start"):
        ScriptedServer(NULL, cpu=100_000).__enter__()


def test_pinning() -> None:
    with ScriptedServer(NULL, cpu=0) as server:
        assert psutil.Process(server.pid).cpu_affinity() == [0]


def test_the_truth_is_not_known_before_the_end() -> None:
    with ScriptedServer(NULL) as server, pytest.raises(RuntimeError):
        _ = server.truth
    assert isinstance(server.endpoint, DynamoDBEndpoint)
    assert len(server.truth.code) == 0
