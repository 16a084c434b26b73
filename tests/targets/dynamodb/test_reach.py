"""A DynamoDB that cannot be used is refused in one sentence, before any load."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Config, Data, Load, Targets
from loadtests.errors import TargetError
from loadtests.targets.dynamodb import client, reach
from loadtests.targets.dynamodb.reach import reach_dynamodb
from loadtests.targets.dynamodb.resolve import resolve_dynamodb
from loadtests.targets.endpoints import DynamoDBEndpoint
from tests.aws import without_aws

PASSWORD = "s3cret-Pa55"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_aws(monkeypatch, tmp_path)
    monkeypatch.setattr(client, "CONNECT_TIMEOUT_S", 2)
    monkeypatch.setattr(client, "READ_TIMEOUT_S", 0.5)


def refusal(**targets: Any) -> str:
    with pytest.raises(TargetError) as caught:
        reach_dynamodb(Targets(**targets))
    assert caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = refusal(dynamodb_endpoint="http://dynamo.invalid:8000")
    assert message.endswith("the host 'dynamo.invalid' has no known address.")


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
    assert "is not a URL of scheme, host and port only" in refusal(dynamodb_endpoint=url)


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3:8000", "https://dynamodb.us-east-1.amazonaws.com"]
)
def test_a_dynamodb_on_another_machine_needs_consent(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.1.2.3", 0))])
    assert "is not on this machine" in refusal(dynamodb_endpoint=url)


def test_consent_is_enough() -> None:
    targets = Targets(dynamodb_endpoint="http://10.1.2.3:8000", allow_remote=True)
    endpoint = resolve_dynamodb(targets)
    assert (endpoint.url, endpoint.loopback_only) == ("http://10.1.2.3:8000", False)


def test_a_dynamodb_that_nobody_serves(closed_port: int) -> None:
    message = refusal(dynamodb_endpoint=f"http://127.0.0.1:{closed_port}")
    assert message == (
        f"DynamoDB at http://127.0.0.1:{closed_port} did not respond (connection refused)."
    )


def test_a_dynamodb_that_says_nothing(silent_port: int) -> None:
    message = refusal(dynamodb_endpoint=f"http://127.0.0.1:{silent_port}")
    assert "did not respond (no response in time)" in message


def test_a_server_that_is_no_dynamodb(web_port: int) -> None:
    message = refusal(dynamodb_endpoint=f"http://127.0.0.1:{web_port}")
    assert "responds, but is not a DynamoDB (code 404)" in message


def test_a_dynamodb_without_tls(web_port: int) -> None:
    message = refusal(dynamodb_endpoint=f"https://127.0.0.1:{web_port}")
    assert "the server does not speak TLS" in message


def test_aws_without_credentials() -> None:
    message = refusal(dynamodb_endpoint="aws", region="eu-west-1")
    assert message == "The AWS credentials cannot be used: there are none."


def test_what_naming_aws_sets_in_motion_is_said() -> None:
    notice = reach.aws_notice(
        Config(
            targets=Targets(dynamodb_endpoint="aws"),
            data=Data(users=500, lines_per_cart=3),
            load=Load(rate=200, warm_up=5, run_time=60),
        ),
        DynamoDBEndpoint("https://dynamodb.us-east-1.amazonaws.com", emulator=False),
    )
    assert "billed" in notice
    assert "2,000 writes to seed" in notice
    assert "12,000 calls for each 60 s" in notice


@pytest.mark.embedded
def test_a_dynamodb_that_can_be_used(dynamodb: DynamoDBEndpoint) -> None:
    reached = reach_dynamodb(Targets(dynamodb_endpoint=f"{dynamodb.url}/"))
    assert (reached.url, reached.emulator) == (dynamodb.url, True)
