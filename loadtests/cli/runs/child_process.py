"""A process that a gate starts and ends: output kept, ended in good order, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from loadtests.targets.supervisor.process import with_pdeathsig

_END_S: Final = 60.0


class ChildProcess:
    """A running command; the signal `end_with` lets it finish, here or when this process dies."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        end_with: signal.Signals,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._end_with = end_with
        self._output: list[str] = []
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            with_pdeathsig(command, owner=None, on_parent_death=end_with),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C is the gate's; it ends the child in good order
        )

    def running(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def end(self) -> int:
        """End it, wait until it has gone, and give its exit code."""
        if self.running():
            self._process.send_signal(self._end_with)
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it and the processes that it has started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end_of_output(self) -> str:
        """The last lines of its output, as a hint."""
        return "Its last output: " + " / ".join(self.lines()[-3:])

    def lines(self) -> list[str]:
        """What it wrote (the last 20,000 bytes), without blank lines."""
        if self._log.closed:
            return self._output
        self._log.seek(0)
        text = self._log.read()[-20_000:].decode("utf-8", "replace")
        return [line for line in text.splitlines() if line.strip()]

    def reported_error(self) -> tuple[str, str]:
        """Message and hint of the error that it ended with; empty where it printed none."""
        lines = self.lines()
        message = next((x[7:] for x in reversed(lines) if x.startswith("Error: ")), "")
        hint = next((x[6:] for x in reversed(lines) if x.startswith("Hint: ")), "")
        return message, hint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.kill()  # the user has asked twice
        else:
            self.end()
        self._output = self.lines()
        self._log.close()
