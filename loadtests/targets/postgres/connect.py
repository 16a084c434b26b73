"""Connections to PostgreSQL for set-up and checks; load goes through the stores."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.conninfo import endpoint_settings, hidden_variables
from loadtests.targets.postgres.refusals import CONNECT_TIMEOUT_S, connection_refusal

PostgresConnection = psycopg.Connection[tuple[Any, ...]]
ConnectionT = TypeVar("ConnectionT", bound=psycopg.Connection[tuple[Any, ...]])

# Rows are read as text in one form, whatever the role's or the server's own settings. A pooler
# refuses such parameters.
_SESSION: Final = "-c timezone=UTC -c datestyle=ISO"


def connect(
    kind: type[ConnectionT],
    endpoint: PostgresEndpoint,
    *,
    application: str = "loadtests",
    session: str = "",
    autocommit: bool = True,
    prepare_threshold: int | None = None,
    **settings: object,
) -> ConnectionT:
    """A connection made of the endpoint's settings alone, whatever the environment has.

    `session` are further server settings (`-c name=value`), which a pooled connection leaves out,
    and so does it prepared statements: the next transaction may go to another server process.
    `settings` are libpq's keywords. Raises psycopg.Error, TargetError.
    """
    given = endpoint_settings(endpoint)
    parts: dict[str, Any] = {"application_name": application, **given, **settings}
    parts["client_encoding"] = "UTF8"  # the data has characters that others lack
    if not endpoint.pooled:
        parts["options"] = " ".join(filter(None, (given.get("options"), _SESSION, session)))
    with hidden_variables():
        return kind.connect(
            make_conninfo("", **parts),
            autocommit=autocommit,
            prepare_threshold=None if endpoint.pooled else prepare_threshold,
        )


def postgres_connection(
    endpoint: PostgresEndpoint, *, autocommit: bool = True
) -> PostgresConnection:
    """Open a connection for set-up and checks within a few seconds. Raises TargetError."""
    settings = endpoint_settings(endpoint)
    timeout_s = settings.get("connect_timeout") or str(CONNECT_TIMEOUT_S)
    try:
        return connect(
            psycopg.Connection, endpoint, autocommit=autocommit, connect_timeout=timeout_s
        )
    except psycopg.Error as error:
        raise connection_refusal(error, endpoint.label, settings) from None
