"""Warms DynamoDB Local up before anything is measured.

It runs on Java, whose compiler goes on making it faster over its first 30,000 calls or so. Measured
meanwhile, its calls are slower in the first quarter of a run than in the rest, and a run on
databases already in use would differ from one that has just started them. A real table needs no
such thing, and PostgreSQL what each driver's own warm-up gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import BenchmarkSubject, SuitePlan
from loadtests.microbench.suites.specs import access_patterns
from loadtests.microbench.timing.clocks import Clocks
from loadtests.microbench.timing.passes import Pass, Seconds

DRIVER: Final = "wire"  # the quickest way to so many calls


def needs_warming(bench: Bench) -> bool:
    """Whether its DynamoDB is the emulator."""
    return bench.endpoints.dynamodb is not None and bench.endpoints.dynamodb.emulator


async def warm_target(
    bench: Bench,
    iterations: int,
    *,
    clocks: Clocks,
    rng: Random,
    on_batches: Callable[[int, int], None],
) -> None:
    """Make `iterations` calls of each access pattern, and a fifth more, that nobody looks at."""
    subjects = [BenchmarkSubject(s, s.open(bench)) for s in access_patterns() if s.driver == DRIVER]
    await Pass(
        subjects,
        SuitePlan(0, iterations),
        clocks=clocks,
        seconds=Seconds(clocks, clocks.now()),
        rng=rng,
        on_second=lambda warm_up: None,  # noqa: ARG005 - no second of it is written
        on_batches=on_batches,
    ).run()
