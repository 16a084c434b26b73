"""Start the embedded databases side by side, and take everything of theirs down again."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil

from loadtests.errors import TargetError
from loadtests.targets import dynamodb_local, embedded_postgres
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.process import LOOPBACK, Server, free_port, port_taken
from loadtests.targets.progress import OnProgress, Progress

READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02
_PORT_TRIES: Final = 3
_STEP: Final = "Starting the embedded databases"
_PREFIX: Final = "loadtests-targets-"


def start_embedded(
    backends: tuple[str, ...],
    ports: Mapping[str, int | None],
    environ: Mapping[str, str],
    stack: ExitStack,
    on_progress: OnProgress,
) -> Endpoints:
    """Start the named backends; `stack` takes them down and deletes their files.

    Call it from a thread that outlives them. A port of None means a free one. Raises TargetError.
    """
    for backend in backends:
        _refuse_taken(backend, ports.get(backend))
    starts: dict[str, _Start] = {}
    folder = _temporary_folder(stack)
    if "dynamodb" in backends:
        home = dynamodb_local.locate(environ, on_progress)
        on_progress(Progress(_STEP))
        starts["dynamodb"] = _Start(
            "DynamoDB Local",
            lambda port: dynamodb_local.start(home, port, folder, environ),
            dynamodb_local.answers,
            dynamodb_local.failure,
            ports.get("dynamodb"),
            stack,
        )
    if "postgres" in backends:
        on_progress(Progress(_STEP))
        # DynamoDB Local's JVM warms up while initdb runs.
        cluster = embedded_postgres.initialise(folder, environ)
        starts["postgres"] = _Start(
            "PostgreSQL",
            lambda port: embedded_postgres.start(cluster, port, folder, environ),
            lambda port: embedded_postgres.answers(cluster.dsn(port)),
            embedded_postgres.failure,
            ports.get("postgres"),
            stack,
        )
    _await_all(list(starts.values()))
    on_progress(Progress(_STEP, 1, 1))
    dynamodb = postgres = None
    if "dynamodb" in starts:
        version = dynamodb_local.version(environ)
        dynamodb = DynamoDBEndpoint(
            f"http://{LOOPBACK}:{starts['dynamodb'].port}",
            label=f"DynamoDB Local {version}".rstrip() + " (embedded)",
        )
    if "postgres" in starts:
        dsn = cluster.dsn(starts["postgres"].port)
        version = embedded_postgres.version(dsn)
        postgres = PostgresEndpoint(dsn, label=f"PostgreSQL {version} (embedded)")
    return Endpoints(dynamodb, postgres)


class _Start:
    """One server on its way up; takes another port if someone was quicker."""

    def __init__(
        self,
        name: str,
        start: Callable[[int], Server],
        answers: Callable[[int], bool],
        failure: Callable[[Server], TargetError],
        fixed_port: int | None,
        stack: ExitStack,
    ) -> None:
        self.name = name
        self.port = fixed_port or free_port()
        self._start = start
        self._answers = answers
        self._failure = failure
        self._tries = 1 if fixed_port else _PORT_TRIES
        self._stack = stack
        self._server = self._run()

    def _run(self) -> Server:
        server = self._start(self.port)
        self._stack.callback(server.stop)
        return server

    def ready(self) -> bool:
        """Whether it answers. Raises TargetError where it has ended instead."""
        if not self._server.ended():
            return self._answers(self.port)
        self._tries -= 1
        if not self._tries or "ddress already in use" not in self._server.log_text():
            raise self._failure(self._server)
        self.port = free_port()
        self._server = self._run()
        return False


def _await_all(starts: list[_Start]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    waiting = starts
    while waiting := [start for start in waiting if not start.ready()]:
        if time.monotonic() > deadline:
            raise TargetError(
                f"{' and '.join(s.name for s in waiting)} did not answer in "
                f"{READY_TIMEOUT_S:.0f} s.",
                hint="The machine is overloaded, or something keeps them from starting.",
            )
        time.sleep(_POLL_S)


def _refuse_taken(backend: str, port: int | None) -> None:
    if port and port_taken(port):
        raise TargetError(
            f"Port {port} of {LOOPBACK}, asked for {backend}, is in use.",
            hint=f"Stop what listens there, or name another with --{backend}-port "
            "(without it, a free one is found).",
        )


def _temporary_folder(stack: ExitStack) -> Path:
    _sweep(Path(tempfile.gettempdir()))
    created = psutil.Process().create_time()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{created:.2f}-"))
    except OSError as error:
        raise TargetError(
            f"There is no folder for the databases' files ({error.strerror}).",
            hint="Make room in the temporary folder, or name another with TMPDIR.",
        ) from None
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _sweep(temporary: Path) -> None:
    """Delete what holders that were killed left: their databases died with them, not the files."""
    for folder in temporary.glob(f"{_PREFIX}*"):
        pid, _, rest = folder.name.removeprefix(_PREFIX).partition("-")
        try:
            mine = folder.stat().st_uid == os.geteuid() and not folder.is_symlink()
            alive = f"{psutil.Process(int(pid)).create_time():.2f}" == rest.partition("-")[0]
        except psutil.NoSuchProcess:
            alive = False
        except (OSError, ValueError, psutil.Error):
            continue
        if mine and not alive:
            shutil.rmtree(folder, ignore_errors=True)
