"""A DynamoDB named by URL or `aws`: checks that it is allowed, reachable and accepts us."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from botocore import exceptions as boto_errors

from loadtests.config import Config, Targets
from loadtests.errors import TargetError
from loadtests.targets.dynamodb.client import CONNECT_TIMEOUT_S, dynamodb_client
from loadtests.targets.endpoints import DynamoDBEndpoint
from loadtests.targets.loopback import CONSENT, is_loopback

_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_CHECK_ENDPOINT: Final = "Check --dynamodb-endpoint, and that the database is running."


def reach_dynamodb(targets: Targets) -> DynamoDBEndpoint:
    """Check the DynamoDB that `targets` names, with one ListTables. Raises TargetError."""
    endpoint = _aws(targets) if targets.dynamodb_endpoint == "aws" else _by_url(targets)
    where = endpoint.label
    client = dynamodb_client(endpoint, connections=1, attempts=1)
    try:
        client.list_tables(Limit=1)
    except boto_errors.ClientError as error:
        _check_refusal(error, where)
    except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError):
        raise TargetError(
            f"There are no AWS credentials for {where}.",
            hint="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ) from None
    except boto_errors.BotoCoreError as error:
        raise TargetError(
            f"{where} did not respond ({_network_reason(error)}).", hint=_CHECK_ENDPOINT
        ) from None
    finally:
        client.close()
    return endpoint


def aws_notice(config: Config) -> str:
    """A notice of what a run on `aws` writes and bills, shown before it starts."""
    data, load = config.data, config.load
    writes = data.users * (data.lines_per_cart + 1)
    calls = load.rate * load.run_time
    return (
        f"AWS, {config.targets.region}: the tables cloudshelf-carts and cloudshelf-sessions are "
        f"created if missing, written to and billed on demand: about {writes:,} writes to seed, "
        f"then up to {calls:,.0f} calls for each {load.run_time:.0f} s of load."
    )


def _aws(targets: Targets) -> DynamoDBEndpoint:
    label = f"DynamoDB on AWS ({targets.region})"
    return DynamoDBEndpoint(None, targets.region, emulator=False, label=label)


def _by_url(targets: Targets) -> DynamoDBEndpoint:
    url = targets.dynamodb_endpoint
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if (
        parts.scheme not in ("http", "https")
        or not host
        or not plain
        or parts.path not in ("", "/")
    ):
        raise TargetError(
            "The DynamoDB endpoint is not a URL of scheme, host and port only.",
            hint="Use embedded, aws, or a URL such as http://127.0.0.1:8000.",
        )
    shown = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    if not targets.allow_remote and not is_loopback(host):
        raise TargetError(f"DynamoDB at {address} is not on this machine.", hint=CONSENT)
    return DynamoDBEndpoint(
        address,
        targets.region,
        emulator=not host.endswith(_AWS_DOMAINS),
        label=f"DynamoDB at {address}",
    )


def _check_refusal(error: boto_errors.ClientError, where: str) -> None:
    """Raise TargetError unless an error response comes from a DynamoDB that accepts us."""
    detail = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    code = str(detail.get("Code", "?"))
    if "x-amzn-requestid" not in headers:
        raise TargetError(
            f"{where} responds, but is not a DynamoDB (code {code[:40]}).", hint=_CHECK_ENDPOINT
        )
    if code in ("AccessDeniedException", "AccessDenied"):
        return  # the permission to list tables is not needed
    raise TargetError(
        f"{where} refused the credentials or the call ({code[:60]}).",
        hint="Check the AWS profile, its expiry and the region.",
    )


def _network_reason(error: boto_errors.BotoCoreError) -> str:
    if isinstance(error, boto_errors.ConnectTimeoutError | boto_errors.ReadTimeoutError):
        return f"no response within {CONNECT_TIMEOUT_S} s"
    if isinstance(error, boto_errors.SSLError):
        return "no TLS connection; check whether it uses https"
    if isinstance(error, boto_errors.EndpointConnectionError):
        return "connection refused"
    return type(error).__name__
