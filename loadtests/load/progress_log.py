"""Set-up progress as log lines: one when a step begins, one when it ends."""

from __future__ import annotations

import logging
from typing import Final

from loadtests.targets.progress import Progress

_log: Final = logging.getLogger("loadtests")


class ProgressLog:
    """An `OnProgress` for places without a terminal of their own."""

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Note a step's begin and end."""
        if progress.step not in self._begun:
            self._begun.add(progress.step)
            _log.info("%s", progress.step)
        elif progress.total and progress.done == progress.total:
            _log.info("%s: done", progress.step)
