"""Tells whoever started the benchmarks how far they are, through a pipe handed over."""

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
    """What writes progress into the pipe; None where none was handed over."""
    given = environ.get(PROGRESS_VARIABLE, "")
    return ProgressPipe(int(given)) if given.isdecimal() else None


class ProgressPipe:
    """An OnProgress that writes a line for each step's beginning and end, and a few between."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told_s = 0.0

    def __call__(self, step: Progress) -> None:
        """Called between turns of calls, so it must be quick and never wait."""
        now = time.monotonic()
        if now - self._told_s < _EVERY_S and step.done not in {0, step.total}:
            return
        self._told_s = now
        with suppress(OSError):  # whoever listened has gone
            os.write(self._descriptor, write_message(step))
