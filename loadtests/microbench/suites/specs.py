"""Every benchmark: access patterns, fan-outs, cart sizes, client configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from loadtests.microbench.suites import calls, clients, fan_out
from loadtests.microbench.suites.bench import Bench, backend_of
from loadtests.microbench.suites.cart_sizes import open_cart_of
from loadtests.microbench.suites.cases import Case, Spec, nothing_to_tidy
from loadtests.patterns import CLOUDSHELF_PATTERNS, DRIVERS
from loadtests.stores.open import ASYNC_DRIVERS

LINES: Final = (1, 25, 100)
THREAD_CONNECTIONS: Final = (1, clients.THREADS)


def access_patterns() -> list[Spec]:
    """Every access pattern through every driver."""
    return [
        _spec(
            suite="access patterns",
            group=pattern,
            name=driver,
            driver=driver,
            open_case=partial(_open_pattern, pattern=pattern, driver=driver),
            pattern=pattern,
        )
        for pattern in CLOUDSHELF_PATTERNS
        for driver in _drivers()
    ]


def fan_outs() -> list[Spec]:
    """Several calls of one page: concurrent through asyncio drivers, sequential through others."""
    return [
        _spec(
            suite="fan-outs",
            group=name,
            name=f"{driver} {'at once' if driver in ASYNC_DRIVERS else 'in turn'}",
            driver=driver,
            open_case=partial(open_case, driver=driver),
        )
        for name, open_case in (
            ("page: cart, refresh, summary", fan_out.open_page),
            ("ten carts", fan_out.open_ten_carts),
        )
        for driver in _drivers()
    ]


def cart_sizes() -> list[Spec]:
    """cart.get of carts with a set number of lines."""
    return [
        _spec(
            suite="cart sizes",
            group=f"cart.get of {lines} lines" if lines > 1 else "cart.get of 1 line",
            name=driver,
            driver=driver,
            open_case=partial(open_cart_of, driver=driver, lines=lines, user_index=user_index),
        )
        for user_index, lines in enumerate(LINES)
        for driver in _drivers()
    ]


def warm_clients() -> list[Spec]:
    """cart.get_item on clients that have called before; and ten concurrent carts from threads."""
    boto3 = [
        _spec(
            suite="clients",
            group="boto3 cart.get_item",
            name=name,
            driver="boto3",
            open_case=partial(clients.open_reads, variant=name),
        )
        for name in clients.BOTO3_VARIANTS
    ]
    wire = [
        _spec(
            suite="clients",
            group="wire cart.get_item",
            name=name,
            driver="wire",
            open_case=partial(clients.open_wire_reads, consistent=consistent),
        )
        for name, consistent in (("consistent read", True), ("eventual read", False))
    ]
    threads = [
        _spec(
            suite="threads",
            group="ten carts from boto3 threads",
            name=f"pool of {connections}",
            driver="boto3",
            open_case=partial(clients.open_threads, connections=connections),
        )
        for connections in THREAD_CONNECTIONS
    ]
    return [*boto3, *wire, *threads]


def cold_clients() -> list[Spec]:
    """The first call of a client beside a warm one, and what it takes to make a client."""
    first_calls = [
        _spec(
            suite="first calls",
            group="cart.get_item first and warm",
            name=f"{driver} {name}",
            driver=driver,
            open_case=partial(open_case, driver=driver),
        )
        for driver in _drivers()
        for name, open_case in (
            ("first", clients.open_first_call),
            ("warm", clients.open_warm_call),
        )
    ]
    creations = [
        _spec(
            suite="cold starts",
            group="making a client",
            name=name,
            driver=name.split(" ")[0],
            open_case=partial(clients.open_creation, name=name),
        )
        for name in clients.CREATIONS
    ]
    return [*first_calls, *creations]


def between_others() -> list[Spec]:
    """One call at a time with the other drivers' calls between: the cost of cold caches."""
    return [
        _spec(
            suite="between others",
            group="cart.get_item between others",
            name=driver,
            driver=driver,
            open_case=partial(clients.open_warm_call, driver=driver),
        )
        for driver in _drivers()
    ]


def _spec(
    *,
    suite: str,
    group: str,
    name: str,
    driver: str,
    open_case: Callable[[Bench], Case],
    pattern: str = "",
) -> Spec:
    return Spec(
        suite=suite,
        group=group,
        name=name,
        backend=backend_of(driver),
        driver=driver,
        open=open_case,
        pattern=pattern,
    )


def _drivers() -> Iterator[str]:
    return (driver for drivers in DRIVERS.values() for driver in drivers)


def _open_pattern(bench: Bench, pattern: str, driver: str) -> Case:
    awaited = driver in ASYNC_DRIVERS
    if pattern in calls.SESSION_CALLS:
        session_call = calls.SESSION_CALLS[pattern]
        return Case(
            partial(session_call, bench.session_store(driver), bench.sessions(driver)), awaited
        )
    store, work = bench.cart_store(driver), bench.carts(driver)
    tidy = partial(calls.restock, store, work) if pattern == "cart.remove" else nothing_to_tidy
    return Case(partial(calls.CART_CALLS[pattern], store, work), awaited, tidy)
