"""A PostgreSQL named by DSN: checks that it is allowed, reachable and accepts us."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict

from loadtests.config import Targets
from loadtests.errors import TargetError
from loadtests.targets.connect import CONNECT_TIMEOUT_S, postgres_connection
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.loopback import CONSENT, is_loopback


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
            hint=f"Give host and port instead. {CONSENT}",
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
                f"PostgreSQL at {_address(parts)} is not on this machine.", hint=CONSENT
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
