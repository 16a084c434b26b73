"""Kind 3: set-up and load reach the same DynamoDB as the same identity.

Each situation says what the user had, and what the clients did before.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Targets
from loadtests.errors import TargetError
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.dynamodb.reach import reach_dynamodb
from loadtests.targets.dynamodb.resolve import resolve_dynamodb
from loadtests.targets.endpoints import EMULATOR_KEYS, DynamoDBEndpoint, Endpoints
from tests.aws import without_aws
from tests.field.dynamodb_server import FakeDynamoDB, fake_dynamodb
from tests.stores.conftest import Certificate, certificate
from tests.stores.shop import opened

__all__ = ["certificate"]  # a fixture

LOAD = ("wire", "boto3", "aioboto3")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_aws(monkeypatch, tmp_path)


def call_by_every_client(endpoint: DynamoDBEndpoint) -> None:
    with closing(dynamodb_client(endpoint, attempts=1)) as client:
        client.list_tables()
    for driver in LOAD:
        with opened(driver, "carts", Endpoints(endpoint)) as store:
            assert store.get("u") == []


def reached(server: FakeDynamoDB, **targets: Any) -> DynamoDBEndpoint:
    """What every client calls, once every client has called it."""
    endpoint = reach_dynamodb(Targets(**{"dynamodb_endpoint": server.url} | targets))
    call_by_every_client(endpoint)
    assert len(server.callers) == 2 + len(LOAD)
    return endpoint


def test_tables_of_an_own_access_key_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB Local without -sharedDb, tables made with AWS_ACCESS_KEY_ID=local in eu-west-1.

    The harness called it with keys and a region of its own, and with others than a store factory
    of the user: no table was there, and the verdict was FAIL.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with fake_dynamodb() as server:
        endpoint = reached(server)
        assert server.identities == {("local", "eu-west-1")}
        assert {caller.token for caller in server.callers} == {"token"}
    assert "secret" not in repr(endpoint)


def test_keys_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same tables, made with a profile of ~/.aws."""
    (tmp_path / "config").write_text("[profile dev]\nregion = ap-south-1\n")
    (tmp_path / "credentials").write_text(
        "[dev]\naws_access_key_id = devkey\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "dev")
    with fake_dynamodb() as server:
        reached(server)
        assert server.identities == {("devkey", "ap-south-1")}


def test_a_flag_beats_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DEFAULT_REGION and --region name two regions."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with fake_dynamodb() as server:
        reached(server, region="us-west-2")
        assert server.identities == {(EMULATOR_KEYS.access_key, "us-west-2")}


@pytest.mark.parametrize(
    ("variables", "config", "credentials"),
    [
        ({"AWS_PROFILE": "missing"}, "", ""),
        ({}, "[broken\nfoo", "also broken"),
        ({"AWS_PROFILE": "p"}, "[profile p]\ncredential_process = /bin/false\n", ""),
        ({"AWS_PROFILE": "p"}, "[profile p]\nrole_arn = a\nsource_profile = missing\n", ""),
        ({"AWS_PROFILE": "p"}, "[profile p]\nsso_session = missing\n", ""),
        ({"AWS_ACCESS_KEY_ID": "half"}, "", ""),
        ({"AWS_MAX_ATTEMPTS": "x", "AWS_RETRY_MODE": "y", "AWS_DEFAULTS_MODE": "z"}, "", ""),
        ({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, "", ""),
        ({"AWS_ENDPOINT_URL": "http://10.9.9.9", "AWS_CA_BUNDLE": "/missing.pem"}, "", ""),
        ({"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}, "", ""),
    ],
)
def test_an_emulator_needs_no_aws_settings_that_work(
    variables: dict[str, str],
    config: str,
    credentials: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """AWS settings that are missing, malformed, or meant for AWS: runs on an emulator crashed.

    A proxy swallowed the set-up's calls to 127.0.0.1, and not those of the load.
    """
    (tmp_path / "config").write_text(config)
    (tmp_path / "credentials").write_text(credentials)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with fake_dynamodb() as server:
        reached(server)
        assert server.identities == {(EMULATOR_KEYS.access_key, "us-east-1")}


def test_the_embedded_database_is_called_as_it_was_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS_PROFILE names no profile, ~/.aws/config is malformed, and variables name AWS keys."""
    (tmp_path / "config").write_text("[broken")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://10.9.9.9")
    with fake_dynamodb() as server:
        call_by_every_client(DynamoDBEndpoint(server.url, embedded=True))
        assert server.identities == {(EMULATOR_KEYS.access_key, "us-east-1")}


@pytest.mark.parametrize("source", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "profile"])
def test_certificate_authorities_are_the_same_for_all(
    source: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A company's authority in a variable or a profile: used by set-up, ignored by the load."""
    if source == "profile":
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificate.certificate}\n")
    else:
        monkeypatch.setenv(source, str(certificate.certificate))
    with fake_dynamodb(tls=certificate.server_context()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        reached(server, dynamodb_endpoint=url)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("AWS_CA_BUNDLE", None, "cannot be read (no such file or directory)"),
        ("REQUESTS_CA_BUNDLE", "no PEM", "contains no certificate in PEM format"),
    ],
)
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    name: str, content: str | None, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS_CA_BUNDLE names a file that is not there: the hint asked whether the server has TLS."""
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(TargetError) as caught:
        resolve_dynamodb(Targets(dynamodb_endpoint="https://127.0.0.1:1"))
    assert caught.value.message.endswith(f"{path} {problem}.")
    assert caught.value.hint == f"Correct {name}."
