"""Programs started as a user starts them; none outlives its test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from loadtests.load.child_environment import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json

ROOT: Final = Path(__file__).parents[2]
RUN_ID: Final = "run"


class Children:
    """Starts `python -m …` in the project's folder, with small data and results in `results`."""

    def __init__(self, environ: Mapping[str, str], results: Path, stack: ExitStack) -> None:
        self.results = results
        self._environ = {**environ, "LOADTESTS_RESULTS": str(results)}
        self._stack = stack

    @property
    def run_folder(self) -> Path:
        """Where `locust` leaves its run."""
        return self.results / RUN_ID

    def start(
        self,
        *command: str,
        environ: Mapping[str, str] | None = None,
        endpoints: Endpoints | None = None,
    ) -> subprocess.Popen[str]:
        """Start a module of Python; its output and errors come through one pipe."""
        given = {**self._environ, **(environ or {})}
        if endpoints:
            given[ENDPOINTS_VARIABLE] = json.dumps(endpoints_to_json(endpoints))
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=given,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._stack.enter_context(process)  # closes the pipe and waits,
        self._stack.callback(process.kill)  # after this
        return process

    def locust(
        self,
        *flags: str,
        files: Sequence[str] = ("scenarios/cart.py",),
        endpoints: Endpoints | None = None,
    ) -> subprocess.Popen[str]:
        """Start a headless run in `run_folder`."""
        return self.start(
            "locust",
            "-f",
            ",".join(files),
            "--headless",
            "--only-summary",
            *flags,
            endpoints=endpoints,
            environ={RUN_ID_VARIABLE: RUN_ID},
        )

    def loadtests(
        self, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run `loadtests` to its end: exit code and output."""
        process = self.start("loadtests", *arguments, environ=environ)
        output = ended(process)
        return process.returncode, output


def ended(process: subprocess.Popen[str]) -> str:
    """The output of a process that ends by itself."""
    output, _ = process.communicate(timeout=150)
    return output
