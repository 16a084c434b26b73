"""Databases named by URL, DSN or `aws`: checks that they are allowed, reachable and accept us."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import psycopg
from botocore import exceptions as boto_errors
from psycopg.conninfo import conninfo_to_dict

from loadtests.config import Config, Targets
from loadtests.errors import TargetError
from loadtests.targets.connect import CONNECT_TIMEOUT_S, dynamodb_client, postgres_connection
from loadtests.targets.endpoints import DynamoDBEndpoint, PostgresEndpoint

_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_CONSENT: Final = "Load goes to this machine only, unless --allow-remote is given."
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


def reach_postgres(targets: Targets, environ: Mapping[str, str]) -> PostgresEndpoint:
    """Check the PostgreSQL that `targets` names, by logging in. Raises TargetError."""
    parts = _read_dsn(targets.postgres_dsn)
    if not targets.allow_remote:
        _refuse_remote_dsn(parts, environ)
    where = _address(parts)
    try:
        with postgres_connection(PostgresEndpoint(targets.postgres_dsn)) as connection:
            version = (connection.info.parameter_status("server_version") or "?").split()[0]
    except psycopg.OperationalError as error:
        raise _login_failure(error, where, parts) from None
    label = f"PostgreSQL {version} at {where}"
    return PostgresEndpoint(targets.postgres_dsn, label=label, version=version)


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is on this machine. Raises TargetError if it has none."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        addresses = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        raise TargetError(
            f"The host {host!r} has no known address.", hint="Check its spelling."
        ) from None
    return all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in addresses
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
        raise TargetError(f"DynamoDB at {address} is not on this machine.", hint=_CONSENT)
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


def _read_dsn(dsn: str) -> dict[str, str]:
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its message may quote the password
        raise TargetError(
            "The Postgres DSN cannot be read.",
            hint="Use embedded, or a DSN such as postgresql://user:password@127.0.0.1:5432/database.",
        ) from None
    return {name: str(value) for name, value in parts.items() if value is not None}


def _refuse_remote_dsn(parts: Mapping[str, str], environ: Mapping[str, str]) -> None:
    if "service" in parts or environ.get("PGSERVICE"):
        raise TargetError(
            "The Postgres DSN names a service, which may be on any machine.",
            hint=f"Give host and port instead. {_CONSENT}",
        )
    hosts = (
        parts.get("hostaddr")
        or parts.get("host")
        or environ.get("PGHOSTADDR")
        or environ.get("PGHOST", "")
    )
    for host in filter(None, hosts.split(",")):
        if not host.startswith(("/", "@")) and not is_loopback(host):
            raise TargetError(
                f"PostgreSQL at {_address(parts)} is not on this machine.", hint=_CONSENT
            )


def _address(parts: Mapping[str, str]) -> str:
    host = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "localhost"
    return f"{host}:{parts.get('port') or os.environ.get('PGPORT') or 5432}"


def _login_failure(
    error: psycopg.OperationalError, where: str, parts: Mapping[str, str]
) -> TargetError:
    message = str(error)
    check = "Check --postgres-dsn, and that the server is running."
    user = f"user {parts['user']}" if "user" in parts else "the user"
    if ("password" in message and "failed" in message) or "no password supplied" in message:
        return TargetError(
            f"PostgreSQL at {where} refused the password of {user}.", hint="Correct the DSN."
        )
    if "timeout" in message:
        return TargetError(
            f"PostgreSQL at {where} did not respond within {CONNECT_TIMEOUT_S} s.", hint=check
        )
    if "refused" in message:
        return TargetError(
            f"PostgreSQL at {where} did not respond (connection refused).", hint=check
        )
    line = (message.strip().splitlines() or ["no reason given"])[-1]
    if password := parts.get("password"):
        line = line.replace(password, "***")
    reason = line.rpartition("FATAL:")[2].strip()[:200]
    return TargetError(f"PostgreSQL at {where}: login failed ({reason}).", hint=check)
