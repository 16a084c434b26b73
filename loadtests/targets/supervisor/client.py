"""Give a run its endpoints for as long as it lasts: the run's side of the supervisor process.

It needs pipes and a child process only, so it works the same in a plain process and in one that
gevent has patched.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Any, Final

from loadtests.config import Config
from loadtests.errors import LoadtestsError, TargetError
from loadtests.patterns import BACKENDS
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress, ignore
from loadtests.targets.supervisor.messages import KEEP, SupervisorRequest, read_message

_STOP_TIMEOUT_S: Final = 20.0
COMMAND: Final = (sys.executable, "-m", "loadtests.targets.supervisor.server")


@contextmanager
def open_endpoints(
    config: Config,
    backends: Iterable[str] = BACKENDS,
    *,
    provision: bool = True,
    on_progress: OnProgress = ignore,
) -> Iterator[Endpoints]:
    """Start or reach the targets that `config` names; what was started is down again at the end.

    `embedded` means those of `loadtests targets up` if they are up, else ones of this run's own.
    `provision` sets all of them up and seeds them, in CloudShelf's own tables.
    Raises TargetError, ProvisionError.
    """
    with Supervisor(SupervisorRequest(config, tuple(backends), provision)) as supervisor:
        yield supervisor.endpoints(on_progress)


def seed_again(config: Config, endpoints: Endpoints, *, on_progress: OnProgress = ignore) -> None:
    """Put tables and data of open endpoints back to what provisioning made of them.

    A run leaves carts and sessions changed, and the next one expects them as seeded.
    Raises TargetError, ProvisionError.
    """
    named: dict[str, Any] = {}
    if endpoints.dynamodb:
        named["dynamodb_endpoint"] = endpoints.dynamodb.url or "aws"
    if endpoints.postgres:
        named["postgres_dsn"] = endpoints.postgres.dsn
    reached = config.model_copy(update={"targets": config.targets.model_copy(update=named)})
    backends = [name for name in BACKENDS if getattr(endpoints, name)]
    with open_endpoints(reached, backends, on_progress=on_progress):
        pass


class Supervisor:
    """A supervisor process. Leaving the `with` block ends it, unless it was told to keep."""

    def __init__(self, request: SupervisorRequest) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        # In a session of its own: Ctrl-C in the terminal is the run's business.
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._kept = False
        with suppress(BrokenPipeError):  # it ended at once; reading tells why
            self._pipe("stdin").write(request.line())
            self._pipe("stdin").flush()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def endpoints(self, on_progress: OnProgress = ignore) -> Endpoints:
        """Wait until the databases are ready, relaying progress. Raises what went wrong there."""
        for line in iter(self._pipe("stdout").readline, b""):
            message = read_message(line)
            if isinstance(message, Progress):
                on_progress(message)
            elif isinstance(message, LoadtestsError):
                raise message
            else:
                return message
        raise self._unexpected_end()

    def keep(self) -> None:
        """Let the databases outlive this process (`loadtests targets up`)."""
        self._pipe("stdin").write(KEEP)
        self._pipe("stdin").flush()
        self._kept = True

    def close(self) -> None:
        """End the supervisor, and with it the databases; returns when they are gone."""
        with suppress(OSError):
            self._pipe("stdin").close()
        if not self._kept:
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:  # the kernel ends its databases with it
                self._process.kill()
                self._process.wait()
        self._pipe("stdout").close()
        self._errors.close()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pipe(self, name: str) -> IO[Any]:
        pipe: IO[Any] | None = getattr(self._process, name)
        assert pipe is not None
        return pipe

    def _unexpected_end(self) -> TargetError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        reason = f": {lines[-1][:200]}" if lines else ""
        return TargetError(
            f"The process that holds the databases ended unexpectedly (code {code}{reason}).",
            hint="If nobody ended it, that is a defect of loadtests; please report it.",
        )
