"""Start the embedded databases concurrently, and stop them and delete their files again."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from loadtests.config import Config
from loadtests.errors import TargetError
from loadtests.targets.embedded import dynamodb_local
from loadtests.targets.embedded import postgres as embedded_postgres
from loadtests.targets.embedded.postgres_installation import prepare
from loadtests.targets.embedded.storage import open_folder, postgres_folder, storage_label
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint, Storage
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.process import (
    LOOPBACK,
    DatabaseProcess,
    free_port,
    port_taken,
)

READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02
_PORT_TRIES: Final = 3
_STEP: Final = "Starting the embedded databases"


def start_embedded(
    backends: tuple[str, ...],
    ports: Mapping[str, int | None],
    config: Config,
    environ: Mapping[str, str],
    stack: ExitStack,
    on_progress: OnProgress,
) -> Endpoints:
    """Start the named backends; `stack` stops them and deletes their files.

    `config` decides where PostgreSQL stores its data, and how much data there will be. Call this
    from a thread that outlives the databases. A port of None means a free one. Raises TargetError.
    """
    try:
        return _start_embedded(backends, ports, config, environ, stack, on_progress)
    except OSError as error:  # of a file: connections raise errors of their own
        raise TargetError(
            f"The embedded databases cannot be started: {error.strerror or error}"
            + (f" ({error.filename})." if error.filename else "."),
            hint="Free disk space, or set TMPDIR to another folder."
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "See that the folder for temporary files (TMPDIR) can be used.",
        ) from None


def _start_embedded(
    backends: tuple[str, ...],
    ports: Mapping[str, int | None],
    config: Config,
    environ: Mapping[str, str],
    stack: ExitStack,
    on_progress: OnProgress,
) -> Endpoints:
    for backend in backends:
        _refuse_taken(backend, ports.get(backend))
    folder = open_folder(stack)
    dynamodb = postgres = cluster = data = installation = None
    if "postgres" in backends:  # first what can be refused, then what takes long
        data = postgres_folder(stack, config.targets.postgres_storage, config.data)
        installation = prepare(folder, environ, data)
    if "dynamodb" in backends:
        home = dynamodb_local.locate(environ, on_progress)
        on_progress(Progress(_STEP))
        dynamodb = _Start(
            name="DynamoDB Local",
            start=lambda port: dynamodb_local.start(home, port, folder, environ),
            ready_port=lambda server, _: dynamodb_local.ready_port(server),
            failure=dynamodb_local.failure,
            fixed_port=ports.get("dynamodb"),
            choose_port=lambda: 0,
            stack=stack,
        )
    if installation:
        on_progress(Progress(_STEP))
        # Meanwhile DynamoDB Local's JVM starts.
        cluster = embedded_postgres.initialise(installation, environ)
        postgres = _start_postgres(cluster, ports.get("postgres"), folder, environ, stack)
    _await_all([start for start in (dynamodb, postgres) if start])
    on_progress(Progress(_STEP, 1, 1))
    return Endpoints(
        _dynamodb_endpoint(dynamodb.port, environ) if dynamodb else None,
        _postgres_endpoint(cluster.dsn(postgres.port), storage_label(data))
        if cluster and postgres
        else None,
    )


def _start_postgres(
    cluster: embedded_postgres.Cluster,
    fixed_port: int | None,
    folder: Path,
    environ: Mapping[str, str],
    stack: ExitStack,
) -> _Start:
    return _Start(
        name="PostgreSQL",
        start=lambda port: embedded_postgres.start(cluster, port, folder, environ),
        ready_port=lambda server, port: embedded_postgres.ready_port(server, cluster, port),
        failure=embedded_postgres.failure,
        fixed_port=fixed_port,
        choose_port=free_port,
        stack=stack,
    )


def _dynamodb_endpoint(port: int, environ: Mapping[str, str]) -> DynamoDBEndpoint:
    version = dynamodb_local.version(environ)
    label = " ".join(filter(None, ("DynamoDB Local", version, "(embedded)")))
    url = f"http://{LOOPBACK}:{port}"
    return DynamoDBEndpoint(url, label=label, version=version, embedded=True)


def _postgres_endpoint(dsn: str, storage: Storage) -> PostgresEndpoint:
    where = "in memory" if storage == "memory" else "on disk"
    version = embedded_postgres.version(dsn)
    label = f"PostgreSQL {version} (embedded, data {where})"
    return PostgresEndpoint(dsn, label=label, version=version, embedded=True, storage=storage)


class _Start:
    """One server that is starting; tries another port if another process took the first."""

    def __init__(
        self,
        *,
        name: str,
        start: Callable[[int], DatabaseProcess],
        ready_port: Callable[[DatabaseProcess, int], int | None],
        failure: Callable[[DatabaseProcess], TargetError],
        fixed_port: int | None,
        choose_port: Callable[[], int],
        stack: ExitStack,
    ) -> None:
        self.name = name
        self._start = start
        self._ready_port = ready_port
        self._failure = failure
        self._choose_port = choose_port
        self._stack = stack
        self._tries = 1 if fixed_port else _PORT_TRIES
        self.port = fixed_port or choose_port()
        self._server = self._run()

    def _run(self) -> DatabaseProcess:
        server = self._start(self.port)
        self._stack.callback(server.stop)
        return server

    def ready(self) -> bool:
        """Whether it serves on `port`. Raises TargetError if it has ended instead."""
        if not self._server.ended():
            port = self._ready_port(self._server, self.port)
            self.port = port or self.port
            return port is not None
        self._tries -= 1
        if not self._tries or "ddress already in use" not in self._server.log_text():
            raise self._failure(self._server)
        self.port = self._choose_port()
        self._server = self._run()
        return False


def _await_all(starts: list[_Start]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    waiting = starts
    while waiting := [start for start in waiting if not start.ready()]:
        if time.monotonic() > deadline:
            raise TargetError(
                f"{' and '.join(start.name for start in waiting)} did not respond within "
                f"{READY_TIMEOUT_S:.0f} s.",
                hint="The machine may be overloaded; try again.",
            )
        time.sleep(_POLL_S)


def _refuse_taken(backend: str, port: int | None) -> None:
    if port and port_taken(port):
        raise TargetError(
            f"Port {port} of {LOOPBACK}, requested for {backend}, is in use.",
            hint=f"Stop the process that uses it, or choose another port with --{backend}-port "
            "(without it, a free port is used).",
        )
