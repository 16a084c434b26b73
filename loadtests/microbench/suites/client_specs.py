"""The benchmarks of client configurations, each against the one it is an alternative to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from loadtests.microbench.suites import clients
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import Case, Spec
from loadtests.patterns import DRIVERS

_BOTO3_READS: Final = (
    "client API",
    "resource API",
    "no parameter validation",
    "no keep-alive",
    "pool of 50",
    "eventual read",
)
_AT_ONCE: Final = (1, clients.AT_ONCE)


def warm_clients() -> list[Spec]:
    """cart.get_item on clients that have called before; and ten carts at once from threads."""
    boto3 = [
        _spec(
            "clients",
            "boto3 cart.get_item",
            name,
            "boto3",
            partial(clients.open_reads, variant=name),
        )
        for name in _BOTO3_READS
    ]
    wire = [
        _spec(
            "clients",
            "wire cart.get_item",
            name,
            "wire",
            partial(clients.open_wire_reads, consistent=consistent),
        )
        for name, consistent in (("consistent read", True), ("eventual read", False))
    ]
    threads = [
        _spec(
            "threads",
            "ten carts from boto3 threads",
            f"pool of {n}",
            "boto3",
            partial(clients.open_threads, connections=n),
        )
        for n in _AT_ONCE
    ]
    return [*boto3, *wire, *threads]


def cold_clients() -> list[Spec]:
    """First call against a warm one, and what it takes to make a client."""
    calls = [
        Spec(
            "first calls",
            "cart.get_item first and warm",
            f"{driver} {name}",
            backend,
            driver,
            partial(opening, driver=driver),
        )
        for backend, drivers in DRIVERS.items()
        for driver in drivers
        for name, opening in (
            ("first", clients.open_first_call),
            ("warm", clients.open_warm_call),
        )
    ]
    making = [
        _spec(
            "cold starts",
            "making a client",
            name,
            name.split(" ")[0],
            partial(clients.open_creation, what=name),
        )
        for name in clients.CREATIONS
    ]
    return [*calls, *making]


def between_others() -> list[Spec]:
    """One call at a time with the other drivers' calls between: what cold caches add."""
    return [
        Spec(
            "between others",
            "cart.get_item between others",
            driver,
            backend,
            driver,
            partial(clients.open_warm_call, driver=driver),
        )
        for backend, drivers in DRIVERS.items()
        for driver in drivers
    ]


def _spec(suite: str, group: str, name: str, driver: str, opening: Callable[[Bench], Case]) -> Spec:
    backend = next(found for found, drivers in DRIVERS.items() if driver in drivers)
    return Spec(suite, group, name, backend, driver, opening)
