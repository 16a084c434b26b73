"""Measured times as pytest-benchmark reads them. Imports nothing: every pytest run loads it."""

from __future__ import annotations


class Replay:
    """A timer that gives measured times back, round by round.

    pytest-benchmark makes and times the rounds of one benchmark after the other; here the drivers
    alternated. With this as its timer (an option of its `benchmark` marker) it reads the times that
    were measured, and everything that it does with times works.
    """

    __name__ = "perf_counter"

    def __init__(self) -> None:
        self.rounds_ns: list[int] = []  # the next one last
        self._running = False

    def __call__(self) -> float:
        """The start of a round (0), then its end, in seconds; alternately."""
        self._running = not self._running
        return 0.0 if self._running else self.rounds_ns.pop() / 1e9
