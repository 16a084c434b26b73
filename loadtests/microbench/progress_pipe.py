"""Reports the progress of the benchmarks to the process that started them, through a pipe."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.messages import write_message

PROGRESS_VARIABLE: Final = "LOADTESTS_PROGRESS_FD"
_EVERY_S: Final = 0.25


def open_progress_pipe(environ: Mapping[str, str]) -> OnProgress | None:
    """Writes progress into the inherited pipe; None where there is none."""
    descriptor = environ.get(PROGRESS_VARIABLE, "")
    return ProgressPipe(int(descriptor)) if descriptor.isdecimal() else None


class ProgressPipe:
    """An OnProgress that writes a line for each step's beginning and end, and a few between."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written_s = 0.0

    def __call__(self, step: Progress) -> None:
        """Called between batches of calls, so it must be quick and never wait."""
        now_s = time.monotonic()
        if now_s - self._written_s < _EVERY_S and step.done not in {0, step.total}:
            return
        self._written_s = now_s
        with suppress(OSError):  # the reader has gone
            os.write(self._descriptor, write_message(step))
