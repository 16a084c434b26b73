"""A PostgreSQL that cannot be used is refused in one sentence, before any load."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.config import Config, Gate, Targets
from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.postgres.conninfo import endpoint_settings
from loadtests.targets.postgres.reach import reach_postgres

PASSWORD = "s3cret-Pa55"


def reach(dsn: str, environ: dict[str, str] | None = None, **targets: Any) -> PostgresEndpoint:
    return reach_postgres(Config(targets=Targets(postgres_dsn=dsn, **targets)), environ or {})


def refusal(dsn: str, environ: dict[str, str] | None = None) -> TargetError:
    with pytest.raises(TargetError) as caught:
        reach(dsn, environ)
    assert caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{PASSWORD}@10.1.2.3/d",
        f"postgresql://u:{PASSWORD}@127.0.0.1,10.1.2.3/d",
        f"host=localhost hostaddr=10.1.2.3 password={PASSWORD}",
        f"host=/tmp,10.1.2.3 password={PASSWORD}",
    ],
)
def test_a_target_on_another_machine_needs_consent(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.1.2.3", 0))])
    assert "is not on this machine" in refusal(dsn).message


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        (f"postgresql://u:{PASSWORD}@[::1/d", "The Postgres DSN cannot be read."),
        (f"nonsense {PASSWORD}", "The Postgres DSN cannot be read."),
        (f"host='{PASSWORD}", "The Postgres DSN cannot be read."),
        ("host=h sslmod=off", 'cannot be read: it has an unknown keyword, "sslmod".'),
        ("postgresql://h/d?sslmod=off", 'cannot be read: it has an unknown keyword, "sslmod".'),
        (
            f"postgresql://u:p@{PASSWORD}@127.0.0.1/d",
            "The Postgres DSN cannot be read: user or password have an @ not written as %40.",
        ),
        ("host=a,b hostaddr=127.0.0.1", "could not match 2 host names to 1 hostaddr values"),
        ("sslmode=always", 'invalid sslmode value: "always"'),
        ("service=production", 'definition of service "production" not found'),
        ("host=127.0.0.1 replication=database", "a replication connection"),
    ],
)
def test_a_dsn_that_cannot_be_used(dsn: str, message: str) -> None:
    assert message in refusal(dsn).message


def test_a_postgres_that_nobody_serves(closed_port: int) -> None:
    error = refusal(f"postgresql://u:{PASSWORD}@127.0.0.1:{closed_port}/d")
    assert error.message == (
        f"PostgreSQL at 127.0.0.1:{closed_port} did not respond (connection refused)."
    )


def test_a_postgres_that_says_nothing(silent_port: int) -> None:
    dsn = f"postgresql://u:{PASSWORD}@127.0.0.1:{silent_port}/d?connect_timeout=2"
    assert refusal(dsn).message.endswith("did not respond within 2 s.")


def test_another_server_behind_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = refusal(f"postgresql://u:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/d")
        thread.join()
    assert "does not speak PostgreSQL's protocol" in error.message


def test_a_folder_without_a_socket(tmp_path: Path) -> None:
    error = refusal(f"host={tmp_path} user=u dbname=d")
    assert "has no Unix socket there" in error.message
    assert str(tmp_path) in error.message


@pytest.mark.embedded
def test_a_wrong_password(postgres: PostgresEndpoint) -> None:
    port = conninfo_to_dict(postgres.dsn)["port"]
    error = refusal(make_conninfo(postgres.dsn, password=PASSWORD))
    assert error.message == (
        f"PostgreSQL at 127.0.0.1:{port} refused the password of user cloudshelf."
    )


@pytest.mark.embedded
def test_a_database_that_does_not_exist(postgres: PostgresEndpoint) -> None:
    error = refusal(postgres.dsn.replace("/postgres", "/nowhere"))
    assert "has no database nowhere" in error.message
    assert "PGDATABASE" in error.hint


@pytest.mark.embedded
def test_a_postgres_that_can_be_used(postgres: PostgresEndpoint) -> None:
    port = conninfo_to_dict(postgres.dsn)["port"]
    reached = reach(postgres.dsn)
    assert reached.label.startswith("PostgreSQL 18.")
    assert reached.label.endswith(f" at 127.0.0.1:{port}")
    assert (reached.hostaddr, reached.pooled) == ("127.0.0.1", False)
    # nothing that a variable or the password file could still change
    assert endpoint_settings(reached) == {
        **conninfo_to_dict(postgres.dsn),
        "hostaddr": "127.0.0.1",
        "sslmode": "disable",
    }


@pytest.mark.embedded
def test_environment_service_and_password_file_are_resolved_once(
    postgres: PostgresEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(postgres.dsn)
    services = tmp_path / "services"
    services.write_text(f"[shop]\nhost=localhost\nport={parts['port']}\nuser={parts['user']}\n")
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"localhost:{parts['port']}:*:cloudshelf:{parts['password']}\n")
    passwords.chmod(0o600)
    environ = {
        "PGSERVICEFILE": str(services),
        "PGPASSFILE": str(passwords),
        "PGDATABASE": "postgres",
        "PGOPTIONS": "-c search_path=pg_catalog,public",
        "PGAPPNAME": "shop's load test",
    }
    reached = reach("service=shop", environ)
    assert reached.label.endswith(f" at localhost:{parts['port']}")
    monkeypatch.setenv("PGSERVICE", "nowhere")
    monkeypatch.setenv("PGTZ", "Nowhere/Nothing")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    with postgres_connection(reached) as connection:
        row = connection.execute(
            "select current_setting('search_path'), current_setting('timezone'), "
            "current_setting('application_name')"
        ).fetchone()
    assert row == ("pg_catalog,public", "UTC", "shop's load test")


@pytest.mark.embedded
def test_of_several_hosts_the_one_that_answers_is_called(
    postgres: PostgresEndpoint, closed_port: int
) -> None:
    parts = conninfo_to_dict(postgres.dsn)
    dsn = (
        f"postgresql://cloudshelf:{parts['password']}@127.0.0.1:{closed_port},localhost:"
        f"{parts['port']}/postgres?target_session_attrs=read-write&load_balance_hosts=random"
    )
    settings = endpoint_settings(reach(dsn))
    assert (settings["host"], settings["port"]) == ("localhost", parts["port"])
    assert "target_session_attrs" not in settings


@pytest.mark.embedded
def test_sessions_that_are_read_only(postgres: PostgresEndpoint) -> None:
    error = refusal(postgres.dsn, {"PGOPTIONS": "-c default_transaction_read_only=on"})
    assert "sessions of this user are read-only" in error.message


@pytest.mark.embedded
def test_what_asyncpg_cannot_honour_is_refused_before_anything_starts(
    postgres: PostgresEndpoint,
) -> None:
    targets = Targets(postgres_dsn=make_conninfo(postgres.dsn, require_auth="scram-sha-256"))
    reach_postgres(Config(targets=targets), {})
    with pytest.raises(TargetError, match="require_auth=scram-sha-256, which asyncpg cannot"):
        reach_postgres(Config(targets=targets, gate=Gate(micro="quick")), {})


@pytest.mark.embedded
def test_a_database_of_another_encoding(postgres: PostgresEndpoint) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(
            "create database latin encoding latin1 template template0 locale_provider libc "
            "locale 'C'"
        )
        try:
            error = refusal(postgres.dsn.replace("/postgres", "/latin"))
        finally:
            connection.execute("drop database latin")
    assert "the database's encoding is LATIN1" in error.message
