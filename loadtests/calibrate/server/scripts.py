"""What a scripted server does to each request: pure functions of a seed and the time.

A delay is the time from the moment the request was wholly read to the moment its answer goes to the
socket.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS

Law = Literal["constant", "two_point", "lognormal"]


@dataclass(frozen=True, slots=True)
class Script:
    """A distribution of delays, and optionally a freeze that recurs.

    `constant`: always `delay_ns`. `two_point`: `slow_ns` with probability `slow_share`, otherwise
    `delay_ns`. `lognormal`: median `delay_ns`, standard deviation `sigma` of its logarithm. In a
    freeze (the last `freeze_ns` of every `period_ns` since the first scripted request) connections
    are accepted and requests read, but nothing is answered; the delayed answers go out at its end.
    `hands` is how many requests it serves concurrently, first come, first served; 0: all of them.
    """

    name: str
    law: Law = "constant"
    delay_ns: int = 0
    slow_ns: int = 0
    slow_share: float = 0.0
    sigma: float = 0.0
    period_ns: int = 0
    freeze_ns: int = 0
    hands: int = 0

    def delays_ns(self, seed: int) -> Iterator[int]:
        """The delays of the first, second, … request; the same for the same seed."""
        if self.law == "constant":
            return itertools.repeat(self.delay_ns)
        draw = random.Random(f"{self.name}/{seed}")
        if self.law == "two_point":
            return (
                self.slow_ns if draw.random() < self.slow_share else self.delay_ns
                for _ in itertools.count()
            )
        mu = math.log(self.delay_ns)
        return (round(draw.lognormvariate(mu, self.sigma)) for _ in itertools.count())

    def freeze_of(self, time_ns: int, start_ns: int) -> tuple[int, int]:
        """Begin and end of the freeze that `time_ns` lies in, or else of the next one.

        Only for a script that freezes.
        """
        period = (time_ns - start_ns) // self.period_ns
        end = start_ns + (period + 1) * self.period_ns
        return end - self.freeze_ns, end

    def due_ns(self, arrival_ns: int, delay_ns: int, start_ns: int) -> int:
        """When a request that arrived at `arrival_ns` is to be answered."""
        due = arrival_ns + delay_ns
        if not self.freeze_ns:
            return due
        begin, end = self.freeze_of(due, start_ns)
        return end if due >= begin else due


class Hands:
    """First come, first served by `count` hands: when the service of each request begins."""

    def __init__(self, count: int) -> None:
        self._free_ns = [0] * count

    def begin_ns(self, arrival_ns: int, delay_ns: int) -> int:
        """When the next free hand begins it; that hand is then busy for `delay_ns`."""
        begin_ns = max(arrival_ns, self._free_ns[0])
        heapq.heapreplace(self._free_ns, begin_ns + delay_ns)
        return begin_ns


SCRIPTS: Final = {
    script.name: script
    for script in (
        Script("null"),
        Script("constant", delay_ns=2 * MS),
        Script("two_point", "two_point", 2 * MS, slow_ns=20 * MS, slow_share=0.03),
        Script("lognormal", "lognormal", 2 * MS, sigma=0.5),
        Script("frozen", delay_ns=2 * MS, period_ns=10 * SECOND, freeze_ns=SECOND),
    )
}
