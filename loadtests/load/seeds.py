"""How a lane's arrival seed follows from the run's, so that a schedule can be drawn again."""

from __future__ import annotations

from loadtests.patterns import BACKENDS


def lane_seed(seed: int, number: int, backend: str) -> int:
    """The arrivals' seed of the scenario's `number`-th class on a backend.

    Each backend has its own arrival instants, or both would always be hit at once.
    """
    return seed * 1_000 + number * 10 + BACKENDS.index(backend)
