"""A target that cannot be used is told in one sentence, before any load, without its password."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from loadtests.config import Targets
from loadtests.errors import TargetError
from loadtests.targets import connect
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.external import reach_postgres

PASSWORD = "s3cret-Pa55"


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_S", 2)  # libpq's least


def reach_postgres_here(targets: Targets) -> PostgresEndpoint:
    return reach_postgres(targets, {})


Reach = Callable[[Targets], PostgresEndpoint]


def refusal(reach: Reach, **targets: Any) -> str:
    with pytest.raises(TargetError) as caught:
        reach(Targets(**targets))
    assert caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "where",
    [
        {"postgres_dsn": f"postgresql://u:{PASSWORD}@10.1.2.3/d"},
        {"postgres_dsn": f"postgresql://u:{PASSWORD}@127.0.0.1,10.1.2.3/d"},
        {"postgres_dsn": f"host=localhost hostaddr=10.1.2.3 password={PASSWORD}"},
    ],
)
def test_a_target_on_another_machine_needs_consent(
    where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.1.2.3", 0))])
    assert "is not on this machine" in refusal(reach_postgres_here, **where)


def test_a_dsn_that_leaves_the_host_to_the_environment_needs_consent_too() -> None:
    with pytest.raises(TargetError, match="is not on this machine"):
        reach_postgres(Targets(postgres_dsn="dbname=d"), {"PGHOST": "10.1.2.3"})
    with pytest.raises(TargetError, match="names a service"):
        reach_postgres(Targets(postgres_dsn="dbname=d"), {"PGSERVICE": "production"})
    with pytest.raises(TargetError, match="names a service"):
        reach_postgres(Targets(postgres_dsn="service=production"), {})


@pytest.mark.parametrize(
    "dsn", [f"postgresql://u:{PASSWORD}@[::1/d", f"nonsense {PASSWORD}", f"host='{PASSWORD}"]
)
def test_a_dsn_that_cannot_be_read(dsn: str) -> None:
    assert refusal(reach_postgres_here, postgres_dsn=dsn) == "The Postgres DSN cannot be read."


def test_a_postgres_that_nobody_serves(closed_port: int) -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:{closed_port}/d"
    message = refusal(reach_postgres_here, postgres_dsn=dsn)
    assert message == f"PostgreSQL at 127.0.0.1:{closed_port} did not respond (connection refused)."


def test_a_postgres_that_says_nothing(silent_port: int) -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:{silent_port}/d"
    assert "did not respond within" in refusal(reach_postgres_here, postgres_dsn=dsn)


@pytest.mark.embedded
def test_a_wrong_password(postgres: PostgresEndpoint) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(postgres.dsn)
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn, password=PASSWORD)
    message = refusal(reach_postgres_here, postgres_dsn=dsn)
    assert message == (
        f"PostgreSQL at 127.0.0.1:{parts['port']} refused the password of user cloudshelf."
    )


@pytest.mark.embedded
def test_a_database_that_does_not_exist(postgres: PostgresEndpoint) -> None:
    dsn = postgres.dsn.replace("/postgres", "/nowhere")
    assert 'database "nowhere" does not exist' in refusal(reach_postgres_here, postgres_dsn=dsn)


@pytest.mark.embedded
def test_a_postgres_that_can_be_used(postgres: PostgresEndpoint) -> None:
    label = reach_postgres(Targets(postgres_dsn=postgres.dsn), {}).label
    assert label.startswith("PostgreSQL 18.")
    assert "127.0.0.1" in label
