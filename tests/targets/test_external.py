"""A target that cannot be used is told in one sentence, before any load, without its password."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadtests.config import Config, Data, Load, Targets
from loadtests.errors import TargetError
from loadtests.targets import connect, external
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint
from loadtests.targets.external import is_loopback, reach_dynamodb, reach_postgres

PASSWORD = "s3cret-Pa55"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:  # bound but not listening: refused, and nobody else's
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def web_port() -> Iterator[int]:
    """An HTTP server that is no DynamoDB."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_S", 2)  # libpq's least
    monkeypatch.setattr(connect, "READ_TIMEOUT_S", 0.5)


def reach_postgres_here(targets: Targets) -> PostgresEndpoint:
    return reach_postgres(targets, {})


Reach = Callable[[Targets], DynamoDBEndpoint | PostgresEndpoint]


def refusal(reach: Reach, **targets: Any) -> str:
    with pytest.raises(TargetError) as caught:
        reach(Targets(**targets))
    assert caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "::1", "localhost"],
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0.0.0.0", "192.168.1.1", "2001:db8::1", "::ffff:10.0.0.1", "8.8.8.8"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_name_with_any_other_address_is_not_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("10.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both)
    assert not is_loopback("both.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both[:1])
    assert is_loopback("one.example")


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = refusal(reach_dynamodb, dynamodb_endpoint="http://dynamo.invalid:8000")
    assert message == "The host 'dynamo.invalid' has no known address."


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:notaport",
        "http://127.0.0.1:99999",
        "http://[::1",
        f"http://user:{PASSWORD}@127.0.0.1:8000",
        f"http://127.0.0.1:8000/{PASSWORD}",
        f"http://127.0.0.1:8000?{PASSWORD}",
    ],
)
def test_a_dynamodb_endpoint_that_is_no_plain_url(url: str) -> None:
    assert "is not a URL of scheme, host and port only" in refusal(
        reach_dynamodb, dynamodb_endpoint=url
    )


@pytest.mark.parametrize(
    ("reach", "where"),
    [
        (reach_dynamodb, {"dynamodb_endpoint": "http://10.1.2.3:8000"}),
        (reach_dynamodb, {"dynamodb_endpoint": "https://dynamodb.us-east-1.amazonaws.com"}),
        (reach_postgres_here, {"postgres_dsn": f"postgresql://u:{PASSWORD}@10.1.2.3/d"}),
        (reach_postgres_here, {"postgres_dsn": f"postgresql://u:{PASSWORD}@127.0.0.1,10.1.2.3/d"}),
        (
            reach_postgres_here,
            {"postgres_dsn": f"host=localhost hostaddr=10.1.2.3 password={PASSWORD}"},
        ),
    ],
)
def test_a_target_on_another_machine_needs_consent(
    reach: Reach, where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.1.2.3", 0))])
    assert "is not on this machine" in refusal(reach, **where)


def test_consent_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = Targets(dynamodb_endpoint="http://10.1.2.3:8000", allow_remote=True)
    assert external._by_url(targets).url == "http://10.1.2.3:8000"
    aws = Targets(dynamodb_endpoint="https://dynamodb.eu-west-1.amazonaws.com", allow_remote=True)
    assert not external._by_url(aws).emulator


def test_a_dsn_that_leaves_the_host_to_the_environment_needs_consent_too() -> None:
    with pytest.raises(TargetError, match="is not on this machine"):
        reach_postgres(Targets(postgres_dsn="dbname=d"), {"PGHOST": "10.1.2.3"})
    with pytest.raises(TargetError, match="names a service"):
        reach_postgres(Targets(postgres_dsn="dbname=d"), {"PGSERVICE": "production"})
    with pytest.raises(TargetError, match="names a service"):
        reach_postgres(Targets(postgres_dsn="service=production"), {})


def test_a_dynamodb_that_nobody_serves(closed_port: int) -> None:
    message = refusal(reach_dynamodb, dynamodb_endpoint=f"http://127.0.0.1:{closed_port}")
    assert message == (
        f"DynamoDB at http://127.0.0.1:{closed_port} did not respond (connection refused)."
    )


def test_a_dynamodb_that_says_nothing(silent_port: int) -> None:
    message = refusal(reach_dynamodb, dynamodb_endpoint=f"http://127.0.0.1:{silent_port}")
    assert "did not respond (no response within" in message


def test_a_server_that_is_no_dynamodb(web_port: int) -> None:
    message = refusal(reach_dynamodb, dynamodb_endpoint=f"http://127.0.0.1:{web_port}")
    assert "responds, but is not a DynamoDB (code 404)" in message


def test_a_dynamodb_without_tls(web_port: int) -> None:
    message = refusal(reach_dynamodb, dynamodb_endpoint=f"https://127.0.0.1:{web_port}")
    assert "check whether it uses https" in message


def test_aws_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    message = refusal(reach_dynamodb, dynamodb_endpoint="aws", region="eu-west-1")
    assert message == "There are no AWS credentials for DynamoDB on AWS (eu-west-1)."


def test_what_naming_aws_sets_in_motion_is_said() -> None:
    notice = external.aws_notice(
        Config(
            targets=Targets(dynamodb_endpoint="aws"),
            data=Data(users=500, lines_per_cart=3),
            load=Load(rate=200, warm_up=5, run_time=60),
        )
    )
    assert "billed" in notice
    assert "2,000 writes to seed" in notice
    assert "12,000 calls for each 60 s" in notice


@pytest.mark.parametrize(
    "dsn", [f"postgresql://u:{PASSWORD}@[::1/d", f"nonsense {PASSWORD}", f"host='{PASSWORD}"]
)
def test_a_dsn_that_cannot_be_read(dsn: str) -> None:
    assert refusal(reach_postgres_here, postgres_dsn=dsn) == "The Postgres DSN cannot be read."


def test_a_postgres_that_nobody_serves(closed_port: int) -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:{closed_port}/d"
    message = refusal(reach_postgres_here, postgres_dsn=dsn)
    assert message == f"PostgreSQL at 127.0.0.1:{closed_port} did not respond (connection refused)."


def test_a_postgres_that_says_nothing(silent_port: int) -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:{silent_port}/d"
    assert "did not respond within" in refusal(reach_postgres_here, postgres_dsn=dsn)


@pytest.mark.embedded
def test_a_wrong_password(postgres: PostgresEndpoint) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(postgres.dsn)
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn, password=PASSWORD)
    message = refusal(reach_postgres_here, postgres_dsn=dsn)
    assert message == (
        f"PostgreSQL at 127.0.0.1:{parts['port']} refused the password of user cloudshelf."
    )


@pytest.mark.embedded
def test_a_database_that_does_not_exist(postgres: PostgresEndpoint) -> None:
    dsn = postgres.dsn.replace("/postgres", "/nowhere")
    assert 'database "nowhere" does not exist' in refusal(reach_postgres_here, postgres_dsn=dsn)


@pytest.mark.embedded
def test_targets_that_can_be_used(dynamodb: DynamoDBEndpoint, postgres: PostgresEndpoint) -> None:
    targets = Targets(dynamodb_endpoint=f"{dynamodb.url}/", postgres_dsn=postgres.dsn)
    reached = reach_dynamodb(targets)
    assert (reached.url, reached.emulator) == (dynamodb.url, True)
    label = reach_postgres(targets, {}).label
    assert label.startswith("PostgreSQL 18.")
    assert "127.0.0.1" in label
