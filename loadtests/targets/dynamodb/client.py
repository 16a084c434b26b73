"""What every DynamoDB client is made with, and boto3 clients for set-up and checks.

Clients follow their endpoint and nothing else: their sessions read no AWS_… variable, no profile
and no AWS configuration file. All of those have been read once, by `resolve.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypedDict

from loadtests.targets.dynamodb.causes import cause_of
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint
from loadtests.targets.loopback import refuse_remote_peer

if TYPE_CHECKING:
    import socket

    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECT_TIMEOUT_S: Final = 4
READ_TIMEOUT_S: Final = 10


class ClientSettings(TypedDict):
    """Arguments of boto3's and aioboto3's `Session.client`."""

    region_name: str
    endpoint_url: str
    verify: str | bool


def client_settings(endpoint: DynamoDBEndpoint) -> ClientSettings:
    """Arguments of `Session.client` that name the endpoint and its certificate authorities."""
    return {
        "region_name": endpoint.region,
        "endpoint_url": endpoint.url,
        "verify": endpoint.ca_bundle or True,
    }


def session_variables() -> dict[str, tuple[None, None, Any, Any]]:
    """`session_vars` of a botocore session that reads neither environment nor files."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES

    apart = {
        name: (None, None, default, convert) for name, (_, _, default, convert) in VARIABLES.items()
    }
    no_file = (None, None, os.devnull, None)
    return apart | {"config_file": no_file, "credentials_file": no_file}


def new_session(endpoint: DynamoDBEndpoint) -> boto3.session.Session:
    """A boto3 session for one endpoint. Raises TargetError if AWS's credentials cannot be read."""
    import boto3  # imported here: it takes 0.4 s, which `targets status` saves
    import botocore.session

    session = botocore.session.Session(session_vars=session_variables())
    if endpoint.keys:
        session.set_credentials(*endpoint.keys)
    else:
        vars(session)["_credentials"] = provider_credentials()
    return boto3.session.Session(botocore_session=session, region_name=endpoint.region)


@lru_cache(maxsize=16)
def shared_session(endpoint: DynamoDBEndpoint) -> boto3.session.Session:
    """One for all clients of an endpoint: its parsed service model is large."""
    return new_session(endpoint)


@lru_cache(maxsize=1)
def provider_credentials() -> Any:  # botocore's, of several unrelated classes
    """The credentials by botocore's rules, one object per process. Raises TargetError."""
    import botocore.session
    from botocore.exceptions import BotoCoreError, NoCredentialsError

    try:
        credentials = botocore.session.get_session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        credentials.get_frozen_credentials()
    except BotoCoreError as error:
        raise cause_of(error).as_target_error("The AWS credentials") from None
    return credentials


def current_keys() -> AwsKeys:
    """AWS's credentials now, refreshed if they expire soon. Raises botocore's errors."""
    frozen = provider_credentials().get_frozen_credentials()
    return AwsKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token or None)


def dynamodb_client(
    endpoint: DynamoDBEndpoint, *, connections: int = 8, attempts: int = 5
) -> DynamoDBClient:
    """A thread-safe client of up to `connections` connections, with timeouts of a few seconds."""
    from botocore.config import Config

    client = shared_session(endpoint).client(
        "dynamodb",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=connections,
            parameter_validation=False,
            proxies={},
            account_id_endpoint_mode="disabled",
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
        **client_settings(endpoint),
    )
    if endpoint.loopback_only:
        wrap_connections(client, lambda connected: guarded(connected, endpoint))
    return client


def guarded(connected: socket.socket, endpoint: DynamoDBEndpoint) -> socket.socket:
    """The connected socket, if it leads where the endpoint may be. Raises NotOnThisMachine."""
    if endpoint.loopback_only:
        refuse_remote_peer(connected.getpeername(), endpoint.url)
    return connected


def wrap_connections(client: DynamoDBClient, wrap: Callable[[Any], Any]) -> None:
    """Make every connection that a boto3 client opens use `wrap(connected socket)`.

    botocore has no public place for this: the pool classes of the urllib3 manager that its HTTP
    session owns are the narrowest. If they move, the contract tests of the boto3 store fail.
    """
    from botocore.awsrequest import (
        AWSHTTPConnection,
        AWSHTTPConnectionPool,
        AWSHTTPSConnection,
        AWSHTTPSConnectionPool,
    )

    class WrappedConnection(AWSHTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = wrap(self.sock)

    class WrappedTLSConnection(AWSHTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = wrap(self.sock)

    class WrappedPool(AWSHTTPConnectionPool):
        ConnectionCls = WrappedConnection

    class WrappedTLSPool(AWSHTTPSConnectionPool):
        ConnectionCls = WrappedTLSConnection

    manager = client._endpoint.http_session._manager  # type: ignore[attr-defined]
    manager.pool_classes_by_scheme = {"http": WrappedPool, "https": WrappedTLSPool}
