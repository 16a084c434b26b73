"""The run's side of the supervisor: endpoints for as long as the run lasts.

It uses only pipes and a child process, so it works alike in a plain process and in one that gevent
has patched.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Final, Self

from loadtests.config import Config
from loadtests.errors import LoadtestsError, TargetError
from loadtests.interpreter import module_command
from loadtests.patterns import BACKENDS
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress, ignore
from loadtests.targets.supervisor.messages import (
    KEEP,
    SEED,
    SupervisorRequest,
    TablesReady,
    read_message,
)

_STOP_TIMEOUT_S: Final = 20.0
COMMAND: Final = module_command("loadtests.targets.supervisor.server")


@contextmanager
def open_endpoints(
    config: Config,
    backends: Iterable[str] = BACKENDS,
    *,
    provision: bool = True,
    on_progress: OnProgress = ignore,
    probe: Callable[[Endpoints], None] | None = None,
) -> Iterator[Endpoints]:
    """Start or reach the targets that `config` names; stop those that were started at the end.

    `embedded` means the databases of `loadtests targets up` if they are up, else new ones for this
    run. `provision` sets all targets up and seeds them, in CloudShelf's own tables. `probe` is
    called once the tables exist, before any data is seeded; what it raises ends the set-up.
    Raises TargetError, ProvisionError.
    """
    request = SupervisorRequest(
        config, tuple(backends), provision, confirm=provision and probe is not None
    )
    with Supervisor(request) as supervisor:
        endpoints = supervisor.endpoints(on_progress, probe)
        if probe and not provision:
            probe(endpoints)
        yield endpoints


def seed_again(config: Config, endpoints: Endpoints, *, on_progress: OnProgress = ignore) -> None:
    """Restore tables and data of open endpoints to their provisioned state.

    A run changes carts and sessions, and the next run expects them as seeded.
    Raises TargetError, ProvisionError.
    """
    backends = tuple(name for name in BACKENDS if getattr(endpoints, name))
    with Supervisor(SupervisorRequest(config, backends, reached=endpoints)) as supervisor:
        supervisor.endpoints(on_progress)


class Supervisor:
    """A supervisor process. Leaving the `with` block ends it, unless `keep` was called."""

    def __init__(self, request: SupervisorRequest) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        # In its own session: Ctrl-C in the terminal is for the run.
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to_supervisor: IO[bytes] = self._process.stdin
        self._from_supervisor: IO[bytes] = self._process.stdout
        self._outlives_run = False
        with suppress(BrokenPipeError):  # it ended already; reading reports why
            self._send(request.line())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def endpoints(
        self,
        on_progress: OnProgress = ignore,
        probe: Callable[[Endpoints], None] | None = None,
    ) -> Endpoints:
        """Wait until the databases are ready, relaying progress. Raises the supervisor's error."""
        for line in iter(self._from_supervisor.readline, b""):
            message = read_message(line)
            if isinstance(message, Progress):
                on_progress(message)
            elif isinstance(message, LoadtestsError):
                raise message
            elif isinstance(message, TablesReady):
                if probe:
                    probe(message.endpoints)
                self._send(SEED)
            else:
                return message
        raise self._unexpected_end()

    def keep(self) -> None:
        """Let the databases outlive this process (`loadtests targets up`)."""
        self._send(KEEP)
        self._outlives_run = True

    def close(self) -> None:
        """End the supervisor and with it the databases; returns when they have ended."""
        with suppress(OSError):
            self._to_supervisor.close()
        if not self._outlives_run:
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:  # the kernel ends its databases with it
                self._process.kill()
                self._process.wait()
        self._from_supervisor.close()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, line: bytes) -> None:
        self._to_supervisor.write(line)
        self._to_supervisor.flush()

    def _unexpected_end(self) -> TargetError:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        reason = f": {lines[-1][:200]}" if lines else ""
        return TargetError(
            f"The supervisor of the databases ended unexpectedly (code {code}{reason}).",
            hint="Somebody or the system killed it; the system does if memory runs out."
            if code == -signal.SIGKILL
            else "If you did not end it, this is a defect of loadtests; please report it.",
        )
