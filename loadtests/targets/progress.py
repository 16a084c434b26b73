"""The progress of a long step, reported to a callback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a step: `done` of `total` units; `total` is None while it is unknown.

    A step is complete when `done == total`. A step with a total of 0 is a notice: only its text.
    """

    step: str
    done: int = 0
    total: int | None = None


OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Ignore progress."""
    del progress
