"""boto3 clients for set-up and checks, and what clients of any kind are made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

from loadtests.targets.endpoints import (
    EMULATOR_ACCESS_KEY,
    EMULATOR_SECRET_KEY,
    DynamoDBEndpoint,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECT_TIMEOUT_S: Final = 4
READ_TIMEOUT_S: Final = 10


class ClientSettings(TypedDict):
    """Arguments of boto3's and aioboto3's `Session.client`."""

    region_name: str
    endpoint_url: NotRequired[str]
    aws_access_key_id: NotRequired[str]
    aws_secret_access_key: NotRequired[str]


def client_settings(endpoint: DynamoDBEndpoint) -> ClientSettings:
    """Arguments of `Session.client` that name the endpoint and the credentials."""
    settings: ClientSettings = {"region_name": endpoint.region}
    if endpoint.url:
        settings["endpoint_url"] = endpoint.url
    if endpoint.emulator:
        settings["aws_access_key_id"] = EMULATOR_ACCESS_KEY
        settings["aws_secret_access_key"] = EMULATOR_SECRET_KEY
    return settings


def dynamodb_client(
    endpoint: DynamoDBEndpoint, *, connections: int = 8, attempts: int = 5
) -> DynamoDBClient:
    """A thread-safe client of up to `connections` connections, with timeouts of a few seconds."""
    import boto3  # imported here: it takes 0.4 s, which `targets status` saves
    from botocore.config import Config

    return boto3.session.Session(region_name=endpoint.region).client(
        "dynamodb",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=connections,
            parameter_validation=False,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
        **client_settings(endpoint),
    )
