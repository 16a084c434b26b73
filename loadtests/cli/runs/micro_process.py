"""The micro-benchmarks as the gate's child: `pytest --benchmark` on databases already up.

A process of its own because what one call costs must not depend on who asked, and because a gate
has much in it that an app has not. Only the access patterns run: they are what is judged.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from loadtests.cli.runs.child_process import ChildProcess
from loadtests.cli.runs.preflight import BENCHMARKS
from loadtests.config import Config
from loadtests.errors import ResultsError
from loadtests.interpreter import module_command
from loadtests.load.child_environment import environment_for_child
from loadtests.microbench.progress_pipe import PROGRESS_VARIABLE
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import Progress
from loadtests.targets.supervisor.messages import read_message

# 3,000 are the least that can pass; calls in a row are alike, so that a few limits need more.
ROUNDS: Final = 4_000
_FAILED: Final = 1  # pytest's code when a benchmark failed: the folder says which calls did


class MicroProcess(ChildProcess):
    """`pytest --benchmark` over the access patterns; leaving the block ends it in good order."""

    def __init__(self, config: Config, endpoints: Endpoints, run_id: str, *, quick: bool) -> None:
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._begun = b""
        environment = environment_for_child(endpoints, run_id) | {
            PROGRESS_VARIABLE: str(writing),
            "LOADTESTS_RESULTS": config.results,
            "LOADTESTS_SEED": str(config.load.seed),
            "LOADTESTS_BACKEND": config.load.backend,
            # what a user's tests run with, such as xdist, is nothing for benchmarks
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "",
        }
        try:
            super().__init__(
                micro_command(quick=quick),
                environment,
                end_with=signal.SIGINT,  # pytest closes the run folder on it
                pass_fds=[writing],
            )
        finally:
            os.close(writing)

    def progress(self) -> Iterator[Progress]:
        """The steps reported since the last call."""
        with suppress(BlockingIOError):
            self._begun += os.read(self._reading, 65_536)
        *lines, self._begun = self._begun.split(b"\n")
        for line in lines:
            message = read_message(line)
            if isinstance(message, Progress):
                yield message

    def finish(self, path: Path) -> None:
        """Wait for its end. Raises ResultsError when no finished run folder came of it."""
        code = self.end()
        if code in {0, _FAILED} and (path / "run.json").exists():
            return
        message, hint = self.reported_error()
        raise ResultsError(
            message or f"The micro-benchmarks ended with code {code} and no results.",
            hint=hint or self.end_of_output(),
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        os.close(self._reading)


def micro_command(*, quick: bool) -> list[str]:
    """`pytest` over the access patterns alone, neither judged nor drawn: the gate does that."""
    rounds = "--benchmark-quick" if quick else f"--benchmark-min-rounds={ROUNDS}"
    return module_command(
        "pytest", "--benchmark", "--benchmark-no-report", "-q", rounds, str(BENCHMARKS)
    )
