"""Kind 4: the target is what was called, not what was asked for."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from loadtests.config import Targets
from loadtests.errors import BackendError, TargetError
from loadtests.targets import loopback
from loadtests.targets.dynamodb import resolve
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.dynamodb.reach import reach_dynamodb
from loadtests.targets.dynamodb.resolve import resolve_dynamodb
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from tests.aws import without_aws
from tests.field.dynamodb_server import fake_dynamodb
from tests.stores.shop import opened


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_aws(monkeypatch, tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "k")


def addresses(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    """Every host has these addresses; none: no host is known."""

    def resolve_name(*_: Any) -> list[Any]:
        if not found:
            raise socket.gaierror
        return [(2, 1, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_name)


def endpoint_of(**targets: Any) -> DynamoDBEndpoint:
    return resolve_dynamodb(Targets(**targets))


def described(endpoint: DynamoDBEndpoint) -> tuple[object, ...]:
    target = Endpoints(endpoint).described()["dynamodb"]
    return tuple(target[name] for name in ("label", "where", "url", "emulator"))


def refusal(**targets: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        endpoint_of(**targets)
    return caught.value


def test_aws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws` and nothing else: AWS's endpoint of the region."""
    addresses(monkeypatch, "3.218.180.1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    endpoint = endpoint_of(dynamodb_endpoint="aws")
    assert endpoint.url == "https://dynamodb.eu-west-1.amazonaws.com"
    assert endpoint.keys is None
    assert described(endpoint) == ("DynamoDB on AWS (eu-west-1)", "aws", "aws", False)


@pytest.mark.parametrize("source", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "services"])
def test_aws_that_the_environment_redirects_to_an_emulator(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`aws` with AWS_ENDPOINT_URL of a LocalStack: an emulator's figures were labelled AWS."""
    with fake_dynamodb() as server:
        if source == "services":
            (tmp_path / "config").write_text(
                "[default]\nservices = here\n"
                f"[services here]\ndynamodb =\n  endpoint_url = {server.url}\n"
            )
        else:
            monkeypatch.setenv(source, server.url)
        endpoint = reach_dynamodb(Targets(dynamodb_endpoint="aws"))
        assert described(endpoint) == (f"DynamoDB at {server.url}", "url", server.url, True)
        assert {caller.host for caller in server.callers} == {f"127.0.0.1:{server.port}"}


def test_configured_endpoints_that_are_to_be_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true: botocore calls AWS, and so do all clients."""
    addresses(monkeypatch, "3.218.180.1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.1.2.3:4566")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert not endpoint_of(dynamodb_endpoint="aws").emulator


def test_a_redirection_to_another_machine_needs_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws` is consent to call AWS, not to call the host that AWS_ENDPOINT_URL names."""
    addresses(monkeypatch, "10.1.2.3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://emulator.example:4566")
    assert "is not on this machine" in refusal(dynamodb_endpoint="aws").message


def test_a_name_of_aws_with_an_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """LocalStack's DNS gives dynamodb.us-east-1.amazonaws.com the address 127.0.0.1."""
    addresses(monkeypatch, "127.0.0.1")
    endpoint = endpoint_of(dynamodb_endpoint="aws")
    url = "https://dynamodb.us-east-1.amazonaws.com"
    assert described(endpoint) == (f"DynamoDB at {url} (127.0.0.1)", "url", url, True)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        (
            {"AWS_ACCOUNT_ID": "123456789012"},
            "https://123456789012.ddb.us-east-1.amazonaws.com",
        ),
        (
            {"AWS_ACCOUNT_ID": "123456789012", "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"},
            "https://dynamodb.us-east-1.amazonaws.com",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.us-east-1.amazonaws.com"),
    ],
)
def test_all_clients_call_the_endpoint_that_botocore_chooses(
    variables: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Account-based and FIPS endpoints: set-up called one host, the load another."""
    addresses(monkeypatch, "3.218.180.1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    endpoint = endpoint_of(dynamodb_endpoint="aws")
    assert endpoint.url == url
    client = dynamodb_client(endpoint, attempts=1)
    client.meta.events.register("before-send.dynamodb", resolve._Unsent.stop)
    with pytest.raises(resolve._Unsent) as sent:
        client.list_tables()
    assert sent.value.args[0].rstrip("/") == url
    for driver in ("wire", "boto3"):
        with opened(driver, "carts", Endpoints(endpoint)) as store:
            called = (
                store.store._connection._address.host
                if driver == "wire"
                else store.store._client.meta.endpoint_url
            )
            assert called in url


def test_an_endpoint_that_not_every_client_can_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dual-stack: botocore takes such an endpoint from its own settings only."""
    addresses(monkeypatch, "3.218.180.1")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    error = refusal(dynamodb_endpoint="aws")
    assert "dual-stack" in error.message
    assert "AWS_USE_DUALSTACK_ENDPOINT" in error.hint


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "127.1", "[::1]", "localhost", "LOCALHOST"]
)
def test_other_spellings_of_this_machine(host: str) -> None:
    """The C library reads numbers in any notation; the guard reads them as it does."""
    assert endpoint_of(dynamodb_endpoint=f"http://{host}:8000").loopback_only


@pytest.mark.parametrize("host", ["134744072", "0x08080808", "[::ffff:8.8.8.8]", "0", "8.8.8.8"])
def test_other_spellings_of_another_machine(host: str) -> None:
    """8.8.8.8 as a number looks like no address to a simple parser."""
    assert "is not on this machine" in refusal(dynamodb_endpoint=f"http://{host}:8000").message


@pytest.mark.parametrize("driver", ["set-up", "wire", "boto3", "aioboto3"])
def test_a_name_that_changes_its_address_later(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard looked the name up once; a later connection went to another machine."""
    with fake_dynamodb() as server:
        endpoint = reach_dynamodb(Targets(dynamodb_endpoint=server.url))
        monkeypatch.setattr(loopback, "is_loopback_address", lambda _: False)
        calls = len(server.callers)
        if driver == "set-up":
            client = dynamodb_client(endpoint, attempts=1)
            with closing(client), pytest.raises(HTTPClientError, match="not on this machine"):
                client.list_tables()
        else:
            with opened(driver, "carts", Endpoints(endpoint)) as store:
                with pytest.raises(BackendError, match="not on this machine") as caught:
                    store._finish(store.store.get("u"))
                assert caught.value.name == "NotOnThisMachine"
        assert len(server.callers) == calls


@pytest.mark.parametrize("target", ["aws", "https://db.example:8443", "http://db.example:8000"])
def test_a_proxy_for_another_machine_is_refused(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set-up went through HTTPS_PROXY and the load did not; behind it, names are unknown."""
    addresses(monkeypatch)
    for name in ("HTTPS_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://user:pa55@proxy.example:3128")
    error = refusal(dynamodb_endpoint=target, allow_remote=True)
    assert "_PROXY names a proxy for " in error.message
    assert "NO_PROXY" in error.hint
    assert "pa55" not in error.message + error.hint


def test_a_host_that_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY names the host."""
    addresses(monkeypatch, "10.1.2.3")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".example")
    endpoint = endpoint_of(dynamodb_endpoint="https://db.example", allow_remote=True)
    assert endpoint.label == "DynamoDB at https://db.example"
