"""Where the wire driver connects and with which keys, by botocore's own rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadtests.errors import TargetError
from loadtests.stores.dynamodb.requests import API_VERSION
from loadtests.stores.http.credentials import RefreshingKeys, resolve
from loadtests.stores.http.sigv4 import Signer
from loadtests.targets.dynamodb.client import provider_credentials
from loadtests.targets.endpoints import EMULATOR_KEYS, AwsKeys, DynamoDBEndpoint

AWS = DynamoDBEndpoint("https://dynamodb.us-east-1.amazonaws.com", emulator=False, keys=None)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No credentials but a test's own, and nothing that asks the network for some."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    resolve.cache_clear()
    provider_credentials.cache_clear()
    yield
    resolve.cache_clear()
    provider_credentials.cache_clear()


def authorization(signer: Signer) -> str:
    return signer.request("GetItem", b"{}").decode()


def test_an_emulator_gets_dummy_keys_whatever_the_environment_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REALKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real-secret")
    address, signer = resolve(
        DynamoDBEndpoint("http://127.0.0.1:8000", region="eu-west-1"), API_VERSION
    )
    assert (address.host, address.port, address.tls) == ("127.0.0.1", 8000, None)
    request = authorization(signer)
    assert f"Credential={EMULATOR_KEYS.access_key}/" in request
    assert "/eu-west-1/dynamodb/aws4_request" in request
    assert "REALKEY" not in request


def test_aws_is_found_and_signed_for_as_botocore_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token")
    address, signer = resolve(
        replace(AWS, url="https://dynamodb.eu-central-1.amazonaws.com", region="eu-central-1"),
        API_VERSION,
    )
    assert address.host == "dynamodb.eu-central-1.amazonaws.com"
    assert address.port == 443
    assert address.tls is not None
    assert address.tls.check_hostname
    request = authorization(signer)
    assert "Host: dynamodb.eu-central-1.amazonaws.com\r\n" in request
    assert "X-Amz-Security-Token: the-token\r\n" in request
    assert "Credential=AKIDENV/" in request


def test_the_whole_chain_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Such as a program named in the configuration, with keys that expire."""
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    keys = {
        "Version": 1,
        "AccessKeyId": "AKIDPROC",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": expires,
    }
    program = tmp_path / "keys.py"
    program.write_text(f"print({json.dumps(keys)!r})")
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {program}\n"
    )
    _, signer = resolve(AWS, API_VERSION)
    assert "Credential=AKIDPROC/" in authorization(signer)


def test_no_credentials_is_a_target_error_with_a_hint() -> None:
    with pytest.raises(TargetError, match="there are none") as caught:
        resolve(AWS, API_VERSION)
    assert "AWS_PROFILE" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "http://",
        "http://h:99999",
        "http://h/path",
        "http://[::1",
    ],
)
def test_a_url_that_makes_no_sense_is_a_target_error(url: str) -> None:
    with pytest.raises(TargetError):
        resolve(DynamoDBEndpoint(url), API_VERSION)


def test_ipv6_and_usual_ports() -> None:
    address, signer = resolve(DynamoDBEndpoint("http://[::1]:80"), API_VERSION)
    assert (address.host, address.port) == ("::1", 80)
    assert "Host: [::1]\r\n" in authorization(signer)


class Background:
    """Work put off until a test says so."""

    def __init__(self) -> None:
        self.works: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.works.append(work)

    def run(self) -> None:
        works, self.works = self.works, []
        for work in works:
            work()


def test_keys_are_renewed_in_the_background() -> None:
    now = [0.0]
    source = [AwsKeys("A", "1")]
    background = Background()
    keys = RefreshingKeys(lambda: source[0], clock=lambda: now[0], start=background)
    source[0] = AwsKeys("B", "2")
    now[0] = 29.0
    assert keys() == AwsKeys("A", "1")
    assert not background.works
    now[0] = 30.0
    assert keys() == AwsKeys("A", "1")  # no call waits for it
    assert keys() == AwsKeys("A", "1")
    assert len(background.works) == 1
    background.run()
    assert keys() == AwsKeys("B", "2")


def test_the_old_keys_stay_when_renewing_fails() -> None:
    now = [0.0]
    background = Background()
    answers = iter([AwsKeys("A", "1")])
    keys = RefreshingKeys(lambda: next(answers), clock=lambda: now[0], start=background)
    now[0] = 31.0
    keys()
    background.run()
    assert keys() == AwsKeys("A", "1")
    now[0] = 62.0
    keys()
    assert len(background.works) == 1  # it is tried again


def test_keys_with_line_breaks_cannot_smuggle_headers() -> None:
    with pytest.raises(TargetError):
        RefreshingKeys(lambda: AwsKeys("A\r\nX: y", "1"))
