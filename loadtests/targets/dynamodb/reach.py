"""A DynamoDB named by URL or `aws`: checks that it is reachable, is a DynamoDB and accepts us."""

from __future__ import annotations

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from botocore import exceptions as boto_errors
from botocore.parsers import ResponseParserError

from loadtests.config import Config, Targets
from loadtests.errors import TargetError
from loadtests.targets.dynamodb.causes import Cause, cause_of
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.dynamodb.resolve import resolve_dynamodb
from loadtests.targets.endpoints import DynamoDBEndpoint

_TLS_PROBE_S: Final = 2.0
_HTTPS: Final = Cause("it speaks https, and the URL says http", "Write https:// in the endpoint.")


def reach_dynamodb(targets: Targets) -> DynamoDBEndpoint:
    """Resolve the DynamoDB that `targets` names and call it, by ListTables. Raises TargetError."""
    endpoint = resolve_dynamodb(targets)
    check_dynamodb(endpoint)
    return endpoint


def check_dynamodb(endpoint: DynamoDBEndpoint) -> None:
    """Call ListTables. Raises TargetError with the cause of what went wrong."""
    where = endpoint.label
    client = dynamodb_client(endpoint, connections=1, attempts=1)
    try:
        names = client.list_tables(Limit=1).get("TableNames")
    except boto_errors.ClientError as error:
        if _may_not_list(error):
            return
        raise _refusal(error, endpoint) from None
    except (boto_errors.BotoCoreError, ResponseParserError, ValueError) as error:
        cause = _HTTPS if _expects_tls(endpoint, error) else cause_of(error, endpoint)
        raise TargetError(f"{where} did not respond ({cause.reason}).", hint=cause.hint) from None
    finally:
        client.close()
    if not isinstance(names, list):
        raise _no_dynamodb(where, "no list of tables")


def aws_notice(config: Config, endpoint: DynamoDBEndpoint) -> str:
    """A notice of what a run on AWS writes and bills, shown before it starts."""
    data, load = config.data, config.load
    writes = data.users * (data.lines_per_cart + 1)
    calls = load.rate * load.run_time
    return (
        f"AWS, {endpoint.region}: the tables cloudshelf-carts and cloudshelf-sessions are "
        f"created if missing, written to and billed on demand: about {writes:,} writes to seed, "
        f"then up to {calls:,.0f} calls for each {load.run_time:.0f} s of load."
    )


def _may_not_list(error: boto_errors.ClientError) -> bool:
    """Whether a DynamoDB refused ListTables alone, which nothing else needs."""
    code = error.response.get("Error", {}).get("Code")
    return _from_dynamodb(error) and code in ("AccessDeniedException", "AccessDenied")


def _from_dynamodb(error: boto_errors.ClientError) -> bool:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return "x-amzn-requestid" in headers


def _refusal(error: boto_errors.ClientError, endpoint: DynamoDBEndpoint) -> TargetError:
    if not _from_dynamodb(error):
        if _expects_tls(endpoint, error):
            return TargetError(f"{endpoint.label}: {_HTTPS.reason}.", hint=_HTTPS.hint)
        code = str(error.response.get("Error", {}).get("Code", "?"))
        return _no_dynamodb(endpoint.label, f"code {code[:40]}")
    cause = cause_of(error, endpoint)
    return TargetError(
        f"{endpoint.label} refused the credentials or the call: {cause.reason}.", hint=cause.hint
    )


def _no_dynamodb(where: str, detail: str) -> TargetError:
    return TargetError(
        f"{where} responds, but is not a DynamoDB ({detail}).",
        hint="Check the port of --dynamodb-endpoint: another program serves this one.",
    )


def _expects_tls(endpoint: DynamoDBEndpoint, error: Exception) -> bool:
    """Whether a server that was called by http completes a TLS handshake instead."""
    if endpoint.url.startswith("https:") or isinstance(
        error, boto_errors.EndpointConnectionError | boto_errors.ConnectTimeoutError
    ):
        return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    parts = urlsplit(endpoint.url)
    try:
        with (
            socket.create_connection((endpoint.host, parts.port or 80), _TLS_PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host),
        ):
            return True
    except (OSError, ValueError):
        return False
