"""How far a long step has come, told to whoever asked to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step's state: `done` of `total` units; `total` None where it cannot be known.

    A step is over when `done == total`. A step of total 0 is a notice: nothing but its words.
    """

    step: str
    done: int = 0
    total: int | None = None


OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Tell nobody."""
    del progress
