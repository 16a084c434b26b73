"""A PostgreSQL named by DSN: checks that it is allowed, reachable, accepts us and can be written.

The server that answers here is the one that everything of the run calls: its address, password,
database and use of TLS become the `PostgresEndpoint`, and nothing is resolved a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import psycopg
from psycopg.conninfo import make_conninfo

from loadtests.config import Config, Targets
from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.loopback import CONSENT, is_loopback
from loadtests.targets.postgres.asyncpg_settings import asyncpg_settings
from loadtests.targets.postgres.connect import PostgresConnection
from loadtests.targets.postgres.conninfo import (
    Settings,
    hidden_variables,
    is_socket,
    resolve,
    server_addresses,
    to_uri,
)
from loadtests.targets.postgres.refusals import CONNECT_TIMEOUT_S, connection_refusal


def reach_postgres(config: Config, environ: Mapping[str, str]) -> PostgresEndpoint:
    """Check the PostgreSQL that `config` names, by logging in. Raises TargetError.

    Also refuses, before anything else begins, what the micro-benchmarks could not honour.
    """
    targets = config.targets
    settings = resolve(targets.postgres_dsn, environ)
    if settings.get("replication"):
        raise TargetError(
            "The Postgres DSN asks for a replication connection, which runs no statements.",
            hint="Remove `replication` from it.",
        )
    where = f"PostgreSQL at {_shown(settings)}"
    if not targets.allow_remote:
        for address, _ in server_addresses(settings):
            _refuse_remote(address, where)
    try:
        connection = _log_in(settings)
        with closing(connection):
            endpoint = _endpoint(connection, settings, targets)
    except psycopg.Error as error:
        raise connection_refusal(error, where, settings) from None
    if config.gate.micro != "off":
        asyncpg_settings(endpoint)
    return endpoint


def _log_in(settings: Settings) -> PostgresConnection:
    """A connection with these settings alone."""
    timeout_s = settings.get("connect_timeout", str(CONNECT_TIMEOUT_S))
    parts = {
        "application_name": "loadtests",
        **settings,
        "connect_timeout": timeout_s,
        "client_encoding": "UTF8",
    }
    for used in ("service", "servicefile"):
        parts.pop(used, None)
    if "passfile" in parts and len(server_addresses(settings)) > 1:
        parts.pop("password", None)  # libpq looks up each host's
    with hidden_variables():
        return psycopg.connect(
            make_conninfo("", **parts),
            autocommit=True,
            prepare_threshold=None,
        )


def _endpoint(
    connection: PostgresConnection, settings: Settings, targets: Targets
) -> PostgresEndpoint:
    """The server that has answered, if it can be used."""
    info = connection.info
    host = info.host
    where = _place(host, info.hostaddr, info.port, settings)
    name = f"PostgreSQL at {where}"
    if not targets.allow_remote and info.hostaddr:
        _refuse_remote(info.hostaddr, name)
    _refuse_unusable(connection, name)
    version = (info.parameter_status("server_version") or "?").split()[0]
    # A pooler gives its clients process numbers of its own.
    row = connection.execute("select pg_backend_pid()").fetchone()
    pooled = row is not None and row[0] != info.backend_pid
    reached = dict(settings)
    if settings.get("sslmode", "prefer") in ("allow", "prefer", "disable"):
        reached["sslmode"] = "require" if connection.pgconn.ssl_in_use else "disable"
    return PostgresEndpoint(
        to_uri(reached, host=host, hostaddr=info.hostaddr, port=info.port, password=info.password),
        label=f"PostgreSQL {version} at {where}" + (" (pooled)" if pooled else ""),
        version=version,
        hostaddr=info.hostaddr,
        pooled=pooled,
    )


def _refuse_unusable(connection: PostgresConnection, name: str) -> None:
    status = connection.info.parameter_status
    if (encoding := status("server_encoding") or "UTF8") != "UTF8":
        raise TargetError(
            f"{name}: the database's encoding is {encoding}, and CloudShelf's texts need UTF8.",
            hint="Use a database with encoding UTF8.",
        )
    if status("in_hot_standby") == "on":
        raise TargetError(f"{name} is a read-only standby.", hint="Name the primary in the DSN.")
    if status("default_transaction_read_only") == "on":
        raise TargetError(
            f"{name}: sessions of this user are read-only (default_transaction_read_only).",
            hint="Remove that setting from `options`, PGOPTIONS, the role or the database.",
        )


def _refuse_remote(address: str, name: str) -> None:
    if not is_socket(address) and not is_loopback(address):
        raise TargetError(f"{name} is not on this machine.", hint=CONSENT)


def _shown(settings: Settings) -> str:
    """The addresses that are connected to, before it is known which of them answers."""
    return ", ".join(
        f"{_bracketed(address) or 'a Unix socket'}:{port}"
        for address, port in server_addresses(settings)
    )


def _place(host: str, hostaddr: str, port: int, settings: Settings) -> str:
    """The server in words: an address that was given wins over a name that is for TLS alone."""
    return f"{_bracketed(hostaddr if settings.get('hostaddr') else host)}:{port}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address and not is_socket(address) else address
