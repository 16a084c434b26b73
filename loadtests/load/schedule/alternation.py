"""Whose turn it is, where two subjects of a run are called in turns: pure, clockless, seeded.

Time is cut into blocks of whole seconds, the log's resolution. Blocks 2k and 2k + 1 are pair k:
each subject has one of them. Who goes first is drawn by the seed for every other pair and turned
round in the next (ABBA or BAAB), so over each four blocks an even drift touches both alike.

A block begins with a pause, in which the other subject's last calls end; then arrivals come at the
asked-for rate until the block is over. A lane draws its arrivals in its own time, which stands
still while it is not its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from loadtests.load.schedule.arrivals import Nanoseconds

PAUSE_NS: Final = 100_000_000
_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Alternation:
    """Two subjects, 0 and 1, in blocks of `block_s` seconds counted from the run's origin."""

    block_s: int
    seed: int

    def first(self, pair: int) -> int:
        """Which subject has the earlier block of a pair."""
        return _drawn(self.seed, pair // 2) ^ (pair % 2)

    def block(self, subject: int, pair: int) -> int:
        """The number of the block that a subject has in a pair."""
        return 2 * pair + (subject != self.first(pair))

    def offered(self, own: Iterator[Nanoseconds], subject: int) -> Iterator[Nanoseconds]:
        """Arrivals of a subject's own time, moved to its blocks; ascending as they were."""
        block_ns = self.block_s * _S
        open_ns = block_ns - PAUSE_NS
        for chunk in own:
            pairs, within = np.divmod(chunk, open_ns)
            known, place = np.unique(pairs, return_inverse=True)
            blocks = np.array([self.block(subject, pair) for pair in known.tolist()], np.int64)
            yield blocks[place] * block_ns + PAUSE_NS + within

    def listed(self, names: Sequence[str], from_s: float, until_s: float) -> list[dict[str, Any]]:
        """The blocks of every pair that lies whole between two times, for run.json."""
        span_s = 2 * self.block_s
        pairs = range(-int(-from_s // span_s), int(until_s // span_s))
        return [
            {
                "subject": names[subject],
                "start_s": self.block(subject, pair) * self.block_s,
                "end_s": (self.block(subject, pair) + 1) * self.block_s,
            }
            for pair in pairs
            for subject in (self.first(pair), 1 - self.first(pair))
        ]


@lru_cache(maxsize=4096)
def _drawn(seed: int, group: int) -> int:
    return int(np.random.default_rng([seed, 7, group]).integers(2))
