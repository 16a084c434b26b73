"""The verdict on several runs together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from loadtests.measure.results import Status

# A broken limit stays broken whatever another run shows; an invalid run shows nothing.
_WORST_FIRST: Final[tuple[Status, ...]] = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")


def of_several(statuses: Iterable[Status]) -> Status:
    """The status of several runs judged together: the worst. Raises ValueError for none."""
    return min(statuses, key=_WORST_FIRST.index)
