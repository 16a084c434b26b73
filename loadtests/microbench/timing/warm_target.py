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
from loadtests.microbench.suites.cases import Plan, Subject
from loadtests.microbench.suites.specs import access_patterns
from loadtests.microbench.timing.clocks import Clocks
from loadtests.microbench.timing.rounds import Pass, Seconds

DRIVER: Final = "wire"  # the quickest way to so many calls


def needs_warming(bench: Bench) -> bool:
    """Whether its DynamoDB is the emulator."""
    return bench.endpoints.dynamodb is not None and bench.endpoints.dynamodb.emulator


async def warm_target(
    bench: Bench, rounds: int, *, clocks: Clocks, rng: Random, on_turns: Callable[[int, int], None]
) -> None:
    """Make `rounds` calls of each access pattern, and a fifth more, that nobody looks at."""
    subjects = [Subject(s, s.open(bench)) for s in access_patterns() if s.driver == DRIVER]
    await Pass(
        subjects,
        Plan(0, rounds),
        clocks=clocks,
        seconds=Seconds(clocks, clocks.now()),
        rng=rng,
        on_second=lambda warm_up: None,  # noqa: ARG005 - no second of it is written
        on_turns=on_turns,
    ).run()
