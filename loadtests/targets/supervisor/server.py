"""The supervisor process: it owns a run's databases, so that they end with the run.

`python -m loadtests.targets.supervisor.server`, started by `client.py`, which it reaches by pipe.
When the run dies, the kernel closes the pipe; this process then stops the databases and deletes
their files. If this process is killed, the kernel ends the databases (pdeathsig.py), and the next
start deletes the files.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import BinaryIO, Final, NoReturn

from loadtests.errors import EXIT_PASS, LoadtestsError, UsageError
from loadtests.targets.embedded.start import start_embedded
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.messages import (
    KEEP,
    SEED,
    Message,
    SupervisorRequest,
    TablesReady,
    write_message,
)
from loadtests.targets.supervisor.state import SupervisorLock, find_supervisor

_PROGRESS_PERIOD_S: Final = 0.1
_STOP_POLL_S: Final = 0.5


class Stopped(BaseException):
    """The run has ended, or has asked this process to end."""


def main() -> NoReturn:
    """Serve the request on standard input; messages go to standard output."""
    with (
        open(0, "rb", buffering=0, closefd=False) as source,
        open(1, "wb", buffering=0, closefd=False) as sink,
    ):
        serve(source, sink, dict(os.environ))
        sys.stderr.flush()
        # Threads may still wait for databases that have ended.
        os._exit(EXIT_PASS)


def serve(source: BinaryIO, sink: BinaryIO, environ: Mapping[str, str]) -> None:
    """Serve one request: start, set up and announce the databases; stop them when the run ends.

    Returns when all have stopped. Must be called from the main thread: it takes over SIGTERM.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    messages = _Messages(sink)
    try:
        request = _read_request(source)
        may_seed = threading.Event()
        threading.Thread(target=_watch, args=(source, may_seed), daemon=True).start()

        def confirm(endpoints: Endpoints) -> None:
            messages.send(TablesReady(endpoints))
            may_seed.wait()

        with open_databases(request, environ, messages.progress, confirm) as endpoints:
            messages.send(endpoints)
            if request.keep or (not request.reached and "embedded" in _named(request).values()):
                while True:
                    signal.pause()
    except LoadtestsError as error:
        messages.send(error)
    except Stopped:
        pass


def _read_request(source: BinaryIO) -> SupervisorRequest:
    try:
        return SupervisorRequest.parse(source.readline())
    except (ValueError, TypeError, KeyError):
        raise UsageError(
            "The supervisor reads its request from a pipe, and no valid request came.",
            hint="Use `loadtests targets up` to start databases that stay up.",
        ) from None


@contextmanager
def open_databases(
    request: SupervisorRequest,
    environ: Mapping[str, str],
    on_progress: OnProgress,
    confirm: Callable[[Endpoints], None],
) -> Iterator[Endpoints]:
    """Reach or start every backend of `request`; set up and seed them if requested.

    Where the request says so, `confirm` is called between the two.
    """
    if request.reached:
        _provision(request, request.reached, on_progress)
        yield request.reached
        return
    with ExitStack() as stack:
        lock = _lock(environ, stack) if request.keep else None
        named = _named(request)
        reached = _reach(request, named, environ, on_progress)
        embedded = tuple(backend for backend, where in named.items() if where == "embedded")
        local = _already_up(request, embedded, environ)
        if local is None:
            ports = {"dynamodb": request.dynamodb_port, "postgres": request.postgres_port}
            local = start_embedded(embedded, ports, request.config, environ, stack, on_progress)
        endpoints = Endpoints(
            reached.dynamodb or local.dynamodb, reached.postgres or local.postgres
        )
        if request.provision:
            _provision(request, endpoints, on_progress, confirm if request.confirm else None)
        if lock:
            lock.announce(endpoints)
        yield endpoints


def _lock(environ: Mapping[str, str], stack: ExitStack) -> SupervisorLock:
    """The lock of databases that stay up, released after they have ended."""
    lock = SupervisorLock(environ)
    stack.callback(lock.release)
    threading.Thread(target=_watch_lock, args=(lock,), daemon=True).start()
    return lock


def _named(request: SupervisorRequest) -> dict[str, str]:
    targets = request.config.targets
    where = {"dynamodb": targets.dynamodb_endpoint, "postgres": targets.postgres_dsn}
    return {backend: where[backend] for backend in request.backends}


def _already_up(
    request: SupervisorRequest, embedded: tuple[str, ...], environ: Mapping[str, str]
) -> Endpoints | None:
    """The embedded databases of `loadtests targets up`, or None if they do not suffice."""
    if not embedded:
        return Endpoints()
    state = None if request.keep else find_supervisor(environ)
    if state is None:
        return None
    wanted = {backend: getattr(state.endpoints, backend) for backend in embedded}
    storage = request.config.targets.postgres_storage
    postgres = wanted.get("postgres")
    if storage != "auto" and postgres and postgres.storage != storage:
        return None
    return Endpoints(**wanted) if all(wanted.values()) else None


def _reach(
    request: SupervisorRequest,
    named: Mapping[str, str],
    environ: Mapping[str, str],
    on_progress: OnProgress,
) -> Endpoints:
    # Imported here: boto3 takes long, and the embedded databases need not wait for it.
    from loadtests.targets.dynamodb.reach import aws_notice, reach_dynamodb
    from loadtests.targets.postgres.reach import reach_postgres

    dynamodb = postgres = None
    if named.get("dynamodb", "embedded") != "embedded":
        dynamodb = reach_dynamodb(request.config.targets)
        if not dynamodb.emulator and request.provision:
            on_progress(Progress(aws_notice(request.config, dynamodb), 0, 0))
    if named.get("postgres", "embedded") != "embedded":
        postgres = reach_postgres(request.config, environ)
    return Endpoints(dynamodb, postgres)


def _provision(
    request: SupervisorRequest,
    endpoints: Endpoints,
    on_progress: OnProgress,
    confirm: Callable[[Endpoints], None] | None = None,
) -> None:
    """Set up and seed in a thread, so that a stop request need not wait for it."""
    from loadtests.targets.seed.dataset import make_dataset
    from loadtests.targets.seed.provision import make_tables, provision

    failures: list[BaseException] = []

    def work() -> None:
        try:
            if confirm:
                make_tables(endpoints)
                confirm(endpoints)
            data = make_dataset(request.config.data, request.config.load.seed, datetime.now(UTC))
            provision(endpoints, data, on_progress)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.5)  # short waits, so that signals are handled
    if failures:
        raise failures[0]


class _Messages:
    """Sends messages to the run; per step at most ten progress messages per second, and its end."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}

    def send(self, message: Message) -> None:
        with self._lock:
            try:
                self._sink.write(write_message(message))
                self._sink.flush()
            except OSError:  # the run has ended, which the watcher sees too
                os.kill(os.getpid(), signal.SIGTERM)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        over = progress.done == progress.total
        if over or now - self._last.get(progress.step, 0.0) >= _PROGRESS_PERIOD_S:
            self._last[progress.step] = now
            self.send(progress)


def _watch(source: BinaryIO, may_seed: threading.Event) -> None:
    """Wait until the run sends `KEEP` or ends; note that it sends `SEED` before."""
    line = source.readline()
    if line == SEED:
        may_seed.set()
        line = source.readline()
    if line != KEEP:
        os.kill(os.getpid(), signal.SIGTERM)


def _watch_lock(lock: SupervisorLock) -> None:
    """Wait until `targets down` asks this process to end."""
    while not lock.should_stop():
        time.sleep(_STOP_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one signal is enough: let the clean-up finish
    raise Stopped


if __name__ == "__main__":
    main()
