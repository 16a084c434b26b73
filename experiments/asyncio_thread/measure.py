"""Calls one store of an asyncio driver from a greenlet and from a coroutine, in turn.

The event loop, its thread, the store and its connection are the same in both: a coroutine that
makes the calls itself shows plain asyncio. CPU time is that of the process over a batch. Paced
batches make a call every 5 ms, as a load of 200 calls per second does; the others make them one
after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic_ns, process_time_ns
from typing import Any, Final

import gevent
import numpy as np

from loadtests.config import Config
from loadtests.stores.asyncio_calls import as_blocking, asyncio_caller
from loadtests.stores.open import ASYNC_DRIVERS, open_async_cart_store
from loadtests.targets.supervisor.client import open_endpoints

PACE_S: Final = 0.005
WARM_UP_CALLS: Final = 300


@dataclass(slots=True)
class Batches:
    """All batches of one way of calling: nanoseconds per call."""

    service_ns: list[int] = field(default_factory=list)
    hand_over_ns: list[int] = field(default_factory=list)
    return_ns: list[int] = field(default_factory=list)
    cpu_ns: int = 0

    def row(self, name: str) -> str:
        """One line of the table; microseconds."""
        calls = max(1, len(self.service_ns))
        cells = [
            f"{np.quantile(times, q) / 1e3:>8.0f}" if times else f"{'':>8}"
            for times in (self.service_ns, self.hand_over_ns, self.return_ns)
            for q in (0.5, 0.99)
        ]
        return f"{name:<28}{self.cpu_ns / calls / 1e3:>8.0f}{''.join(cells)}"


def greenlet_batch(
    batches: Batches, call: Callable[[], Any], store: Any, calls: int, pace_s: float
) -> None:
    """Make the calls from a greenlet, through the thread."""
    cpu_ns = process_time_ns()
    for _ in range(calls):
        asked_ns = monotonic_ns()
        call()
        back_ns = monotonic_ns()
        times = store.call_times
        batches.service_ns.append(times.done_ns - times.began_ns)
        batches.hand_over_ns.append(times.began_ns - asked_ns)
        batches.return_ns.append(back_ns - times.done_ns)
        if pace_s:
            gevent.sleep(pace_s)
    batches.cpu_ns += process_time_ns() - cpu_ns


async def coroutine_batch(
    batches: Batches, call: Callable[[], Awaitable[Any]], calls: int, pace_s: float
) -> None:
    """Make the calls in the loop itself."""
    cpu_ns = process_time_ns()
    for _ in range(calls):
        began_ns = monotonic_ns()
        await call()
        batches.service_ns.append(monotonic_ns() - began_ns)
        if pace_s:
            await asyncio.sleep(pace_s)
    batches.cpu_ns += process_time_ns() - cpu_ns


def measure(driver: str, endpoints: Any, rounds: int, calls: int) -> Iterator[str]:
    """The rows of a driver: both ways of calling, back to back and paced."""
    inner = open_async_cart_store(driver, endpoints)
    store: Any = as_blocking(inner)
    caller = asyncio_caller()
    for _ in range(WARM_UP_CALLS):
        store.get("nobody")
    for pace_s, pacing in ((0.0, "back to back"), (PACE_S, "200 per second")):
        plain, threaded = Batches(), Batches()
        for number in range(2 * rounds):
            if number % 4 in {0, 3}:  # ABBA
                caller.run(coroutine_batch, plain, lambda: inner.get("nobody"), calls, pace_s)
            else:
                greenlet_batch(threaded, lambda: store.get("nobody"), store, calls, pace_s)
        yield plain.row(f"{driver}, {pacing}: asyncio")
        yield threaded.row(f"{driver}, {pacing}: thread")
    store.close()


def main() -> None:
    """Measure on the embedded databases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="batches of each way of calling")
    parser.add_argument("--calls", type=int, default=300, help="calls in a batch")
    options = parser.parse_args()
    print(f"{'median and p99, µs':<28}{'CPU':>8}{'service':>16}{'hand-over':>16}{'return':>16}")
    with open_endpoints(Config()) as endpoints:
        gc.collect()
        gc.freeze()
        for driver in ASYNC_DRIVERS:
            for row in measure(driver, endpoints, options.rounds, options.calls):
                print(row)
