"""Measured rounds as pytest-benchmark reads them. Imports nothing: every pytest run loads it."""

from __future__ import annotations


class Replay:
    """A timer that gives measured rounds back: from the start of each to its end.

    pytest-benchmark makes and times the rounds of one benchmark after the other; ours were made
    with the drivers taking turns. With this as its timer (an option of its `benchmark` marker) it
    reads the times that were measured, and everything it does with times works.
    """

    __name__ = "perf_counter"

    def __init__(self) -> None:
        self.rounds_ns: list[int] = []  # the next one last
        self._running = False

    def __call__(self) -> float:
        """Time at the start (0) or end of a round, in seconds, by turns."""
        self._running = not self._running
        return 0.0 if self._running else self.rounds_ns.pop() / 1e9
