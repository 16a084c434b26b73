"""Kind 10: a hint follows the cause, and a user's mistake is no defect of the harness."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Targets
from loadtests.errors import ProvisionError, TargetError
from loadtests.targets.checklist.dynamodb import table_checks
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.dynamodb.reach import reach_dynamodb
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.seed.dynamodb_tables import TABLES, create_table, ensure_tables
from tests.aws import without_aws
from tests.field.dynamodb_server import Answer, fake_dynamodb, refusal
from tests.stores.conftest import Certificate, certificate

__all__ = ["certificate"]  # a fixture


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_aws(monkeypatch, tmp_path)


def error_of(endpoint: str, **targets: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        reach_dynamodb(Targets(dynamodb_endpoint=endpoint, **targets))
    assert "defect" not in caught.value.hint
    return caught.value


def test_https_that_is_called_by_http(certificate: Certificate) -> None:
    """The hint was to check that the database is running."""
    with fake_dynamodb(tls=certificate.server_context()) as server:
        error = error_of(server.url.replace("https", "http"))
    assert "it speaks https, and the URL says http" in error.message


def test_an_unknown_authority(certificate: Certificate) -> None:
    """The hint asked whether the server has TLS."""
    with fake_dynamodb(tls=certificate.server_context()) as server:
        error = error_of(server.url.replace("127.0.0.1", "localhost"))
    assert "its certificate is self-signed" in error.message
    assert "AWS_CA_BUNDLE" in error.hint


def test_a_certificate_for_another_name(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint asked whether the server has TLS."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.certificate))
    with fake_dynamodb(tls=certificate.server_context()) as server:
        error = error_of(server.url)
    assert "its certificate is for another host name" in error.message


def test_an_underscore_in_the_host_name() -> None:
    """A service of Docker Compose: "a defect of loadtests, please report"."""
    error = error_of("http://dynamodb_local:8000")
    assert "'dynamodb_local' is not valid" in error.message
    assert "no underscore" in error.hint


@pytest.mark.parametrize(
    ("variables", "config", "message", "hint"),
    [
        ({"AWS_PROFILE": "nope"}, "", "there is no AWS profile nope", "AWS_PROFILE"),
        ({"AWS_DEFAULT_REGION": "us_east_1"}, "", "is not the name of a region", "us-east-1"),
        ({"AWS_ACCESS_KEY_ID": "half"}, "", "one half is missing", "AWS_SECRET_ACCESS_KEY"),
        ({}, "[broken\nx", "cannot be read", "syntax"),
        (
            {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "bad"},
            "",
            "account_id_endpoint_mode",
            "AWS_",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://u:pa55@127.0.0.1:1"},
            "",
            "AWS_ENDPOINT_URL or the AWS profile names is not a URL",
            "",
        ),
        (
            {},
            f"[default]\ncredential_process = {sys.executable} -c 'raise SystemExit(\"pa55\")'\n",
            "the provider custom-process gave none",
            "credential_process",
        ),
        ({"AWS_ENDPOINT_URL": "http://dynamo_db:1"}, "", "dynamo_db", "hyphens"),
    ],
)
def test_aws_settings_that_cannot_be_used(
    variables: dict[str, str],
    config: str,
    message: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Errors at the making of a client had a trace, or one hint for all."""
    (tmp_path / "config").write_text(config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    error = error_of("aws")
    assert message in error.message
    assert hint in error.hint
    assert "pa55" not in error.message + error.hint


def test_a_server_of_something_else() -> None:
    """A web server answers every request with 200 and {}."""
    with fake_dynamodb({"ListTables": (200, {})}) as server:
        assert "is not a DynamoDB" in error_of(server.url).message


@pytest.mark.parametrize("status", ["DELETING", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
def test_a_table_that_will_not_become_active(status: str) -> None:
    """The set-up waited for two minutes."""
    table = {
        "TableStatus": status,
        "KeySchema": [
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": "book_id", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"} for name in ("user_id", "book_id")
        ],
    }
    answers: dict[str, Answer] = {
        "DescribeTable": (200, {"Table": table}),
        "DescribeTimeToLive": (200, {"TimeToLiveDescription": {}}),
    }
    with fake_dynamodb(answers) as server:
        endpoint = DynamoDBEndpoint(server.url)
        with closing(dynamodb_client(endpoint)) as client, pytest.raises(ProvisionError) as caught:
            create_table(client, TABLES[0])
    assert f"its status is {status}" in caught.value.message


def test_a_permission_that_is_missing() -> None:
    """ "The credentials need CreateTable" was said whatever was refused."""
    answers = {
        "DescribeTable": refusal(
            "AccessDeniedException", "not authorized to perform: dynamodb:DescribeTable on x"
        )
    }
    with fake_dynamodb(answers) as server:
        endpoint = DynamoDBEndpoint(server.url)
        with closing(dynamodb_client(endpoint)) as client:
            with pytest.raises(ProvisionError) as caught:
                ensure_tables(client)
            assert [check.ok for check in table_checks(client, endpoint)] == [False, False]
    assert "may not use dynamodb:DescribeTable" in caught.value.message
