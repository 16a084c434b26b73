"""Locust as the gate's child: told what to do by flags and environment, ended in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Final, Self

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError
from loadtests.load.handover import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.messages import endpoints_to_json
from loadtests.targets.process import tethered

_MARGIN_S: Final = 60.0
_END_S: Final = 60.0


class LocustProcess:
    """A headless Locust that runs until `finish`, and dies with this process at the latest."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        scenarios: tuple[str, ...],
        run_id: str,
        users: int | None,
        processes: int | None,
    ) -> None:
        load = config.load
        longest_s = load.run_time + config.gate.max_extension + _MARGIN_S
        command = [
            sys.executable, "-m", "locust", "-f", ",".join(scenarios),
            "--headless", "--only-summary", "--no-report", "--no-provision",
            "--run-time", f"{longest_s:.0f}s",
            "--backend", load.backend, "--driver", load.driver, "--rate", str(load.rate),
            "--arrivals", load.arrivals, "--warm-up", str(load.warm_up), "--seed", str(load.seed),
            "--results", config.results,
            *(["--users", str(users)] if users else []),
            *(["--processes", str(processes)] if processes and processes > 1 else []),
        ]  # fmt: skip
        environment = {
            **os.environ,
            ENDPOINTS_VARIABLE: json.dumps(endpoints_to_json(endpoints)),
            RUN_ID_VARIABLE: run_id,
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            tethered(command, owner=None, on_parent_death=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is the gate's; it ends Locust in good order
        )

    def running(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def finish(self) -> None:
        """End the run and wait for its folder. Raises LoadtestsError with what Locust said."""
        self._end()
        if self._process.returncode == EXIT_ERROR:
            message, hint = self._error()
            raise LoadtestsError(message, hint=hint)

    def last_words(self) -> str:
        """The end of its output."""
        return "It said: " + " / ".join(self._lines()[-3:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._output = self._lines()
        self._log.close()

    def _end(self) -> None:
        if self.running():
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _error(self) -> tuple[str, str]:
        lines = self._lines()
        message = next((x[7:] for x in reversed(lines) if x.startswith("Error: ")), "")
        hint = next((x[6:] for x in reversed(lines) if x.startswith("Hint: ")), "")
        return message or "Locust could not run the scenario.", hint or self.last_words()

    def _lines(self) -> list[str]:
        if self._log.closed:
            return self._output
        self._log.seek(0)
        text = self._log.read()[-20_000:].decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()]
