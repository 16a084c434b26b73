"""What boto3 and aioboto3 share."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from loadtests.errors import (
    BackendError,
    CallTimeout,
    ResponseInvalid,
)
from loadtests.stores.dynamodb import requests
from loadtests.stores.dynamodb.botocore_client import client_error, config_settings
from loadtests.targets.dynamodb.client import client_settings
from loadtests.targets.endpoints import DynamoDBEndpoint


@pytest.mark.parametrize(
    ("raised", "error", "name"),
    [
        (ClientError({"Error": {"Code": "502"}}, "Query"), BackendError, "HTTP 502"),
        (
            ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"),
            BackendError,
            "ThrottlingException",
        ),
        (ClientError({}, "Query"), BackendError, "UnknownError"),
        (ReadTimeoutError(endpoint_url="http://x"), CallTimeout, "CallTimeout"),
        (
            EndpointConnectionError(endpoint_url="http://x", error="refused"),
            BackendError,
            "EndpointConnectionError",
        ),
        (ResponseParserError("no JSON"), ResponseInvalid, "ResponseInvalid"),
    ],
)
def test_what_a_botocore_client_raises(
    raised: Exception, error: type[Exception], name: str
) -> None:
    call_error = client_error(requests.get_cart("u"), raised, 1.0)
    assert (type(call_error), call_error.name) == (error, name)


def test_clients_never_retry_and_emulators_need_no_credentials_or_proxy() -> None:
    emulator, aws = DynamoDBEndpoint("http://127.0.0.1:1"), DynamoDBEndpoint(None, emulator=False)
    for endpoint in (emulator, aws):
        assert config_settings(endpoint, 1.0)["retries"] == {"total_max_attempts": 1}
    assert config_settings(emulator, 1.0)["proxies"] == {}
    assert "proxies" not in config_settings(aws, 1.0)
    assert client_settings(emulator)["aws_access_key_id"]
    assert client_settings(aws) == {"region_name": "us-east-1"}
