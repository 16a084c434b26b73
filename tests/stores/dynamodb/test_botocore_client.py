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


def test_clients_never_retry_and_use_no_proxy() -> None:
    settings = config_settings(1.0)
    assert settings["retries"] == {"total_max_attempts": 1}
    assert settings["proxies"] == {}


def test_a_client_is_made_with_what_its_endpoint_says() -> None:
    endpoint = DynamoDBEndpoint("https://127.0.0.1:1", "eu-west-1", ca_bundle="/ca.pem")
    assert client_settings(endpoint) == {
        "region_name": "eu-west-1",
        "endpoint_url": "https://127.0.0.1:1",
        "verify": "/ca.pem",
    }
