"""Warms DynamoDB Local up before anything is measured.

It runs on Java, whose compiler makes it faster over its first 30,000 calls or so. Without the
warm-up its calls would be slower in the first quarter of a run than in the rest, and a run on
databases already in use would differ from a run that has just started them. A real table needs no
warm-up, and PostgreSQL needs only each driver's own.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import BenchmarkSubject
from loadtests.microbench.suites.plans import SuitePlan
from loadtests.microbench.suites.specs import access_patterns
from loadtests.microbench.timing.clocks import Clocks, Seconds
from loadtests.microbench.timing.passes import Pass

DRIVER: Final = "wire"  # the fastest way to make many calls


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
    """Make `iterations` calls of each access pattern, and a fifth more, without recording them."""
    specs = [spec for spec in access_patterns() if spec.driver == DRIVER]
    await Pass(
        [BenchmarkSubject(spec, spec.open(bench)) for spec in specs],
        SuitePlan(0, iterations),
        clocks=clocks,
        seconds=Seconds(clocks, clocks.now()),
        rng=rng,
        on_second=lambda warm_up: None,  # noqa: ARG005 - its seconds are not written
        on_batches=on_batches,
    ).run()
