"""Starts a scripted server in its own process, and reads its records once it has ended."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from loadtests.calibrate.ground_truth import GroundTruth
from loadtests.calibrate.server.scripts import Script
from loadtests.errors import TargetError
from loadtests.interpreter import module_command
from loadtests.targets.endpoints import DynamoDBEndpoint

_START_S: Final = 20.0
_STOP_S: Final = 10.0


class ScriptedServer:
    """A DynamoDB on 127.0.0.1 whose delays are known; a context manager around its process.

    `url` and `endpoint` are known once it is entered, `truth` once it is left. `cpu` pins the
    process to one core. Raises TargetError when the process cannot start or has died.
    """

    def __init__(self, script: Script, seed: int = 1, *, cpu: int | None = None) -> None:
        self.url = ""
        self._script = script
        self._seed = seed
        self._cpu = cpu
        self._truth: GroundTruth | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the process and wait until it listens."""
        if not sys.platform.startswith("linux"):
            raise TargetError(
                "Scripted servers need Linux (epoll).", hint="Run the calibration on Linux."
            )
        self._folder = tempfile.TemporaryDirectory(prefix="loadtests-server-")
        settings = {
            "script": asdict(self._script),
            "seed": self._seed,
            "cpu": self._cpu,
            "records": str(Path(self._folder.name, "records")),
            "windows": str(Path(self._folder.name, "windows.json")),
        }
        command = module_command("loadtests.calibrate.server.process", json.dumps(settings))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is handled by the run
            )
            self.url = f"http://127.0.0.1:{self._read_port(self._process)}"
        except BaseException:
            self._stop()
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and read its records."""
        try:
            error_line = self._stop()
            if kind is None and error_line:
                raise TargetError(f"The scripted server {self._script.name} died: {error_line}")
            if not error_line:
                self._truth = self._read_truth()
        finally:
            self._folder.cleanup()

    @property
    def endpoint(self) -> DynamoDBEndpoint:
        """The endpoint for stores and scenarios."""
        return DynamoDBEndpoint(self.url, label=f"scripted server ({self._script.name})")

    @property
    def pid(self) -> int:
        """The process's id while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def truth(self) -> GroundTruth:
        """What the server recorded."""
        if self._truth is None:
            raise RuntimeError("the truth is known once the server has ended")
        return self._truth

    def _read_port(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        line = process.stdout.readline() if ready else b""
        if not line.startswith(b"listening "):
            raise TargetError(
                f"The scripted server {self._script.name} did not start: "
                f"{self._stop() or f'it wrote nothing in {_START_S:g} s'}"
            )
        return int(line.split()[1])

    def _stop(self) -> str:
        """End the process; return its last error line if it failed, else an empty text."""
        process, self._process = self._process, None
        if process is None:
            return ""
        try:
            # one word, which tells an orderly end from the sudden death of this process
            _, error_line = process.communicate(b"end", timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"it did not end within {_STOP_S:g} s"
        if process.returncode == 0:
            return ""
        lines = error_line.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {process.returncode}"

    def _read_truth(self) -> GroundTruth:
        records = np.fromfile(Path(self._folder.name, "records"), np.int64).reshape(-1, 4)
        windows = json.loads(Path(self._folder.name, "windows.json").read_text(encoding="utf-8"))
        code, arrival_ns, due_ns, done_ns = records.T.copy()
        return GroundTruth(
            code=code,
            arrival_ns=arrival_ns,
            due_ns=due_ns,
            done_ns=done_ns,
            windows=tuple((begin, end) for begin, end in windows),
        )
