"""The alternation of two subjects of a run (ABBA design): pure, without a clock, seeded.

Time is divided into blocks of whole seconds, the log's resolution. Blocks 2k and 2k + 1 are pair k:
each subject has one of them. The seed decides who is first in every other pair, and the next pair
has the reverse order (ABBA or BAAB), so a linear drift affects both alike over each four blocks.

A block begins with a pause, in which the other subject's last calls end; then arrivals come at the
requested rate until the block ends. A dispatcher's schedule counts only the time of its own
subject's blocks.
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

    def offered(self, schedule: Iterator[Nanoseconds], subject: int) -> Iterator[Nanoseconds]:
        """Arrivals that count only a subject's own blocks, moved to run time; still ascending."""
        block_ns = self.block_s * _S
        open_ns = block_ns - PAUSE_NS
        for chunk in schedule:
            pairs, within = np.divmod(chunk, open_ns)
            numbers, inverse = np.unique(pairs, return_inverse=True)
            blocks = np.array([self.block(subject, pair) for pair in numbers.tolist()], np.int64)
            yield blocks[inverse] * block_ns + PAUSE_NS + within

    def listed(self, names: Sequence[str], from_s: float, until_s: float) -> list[dict[str, Any]]:
        """The blocks of every pair that lies entirely between two times, for run.json."""
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
