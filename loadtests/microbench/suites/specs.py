"""The benchmarks that come in families: access patterns, fan-outs, cart sizes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from loadtests.microbench.suites import calls, fan_out
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cart_sizes import open_cart_of
from loadtests.microbench.suites.cases import Case, Spec, nothing_to_tidy
from loadtests.patterns import DRIVERS, PATTERNS
from loadtests.stores.open import ASYNC_DRIVERS

LINES: Final = (1, 25, 100)


def access_patterns() -> list[Spec]:
    """Every access pattern through every driver."""
    return [
        Spec(
            suite="access patterns",
            group=pattern,
            name=driver,
            backend=backend,
            driver=driver,
            open=partial(_open_pattern, pattern=pattern, driver=driver),
            pattern=pattern,
        )
        for pattern in PATTERNS
        for backend, driver in _drivers()
    ]


def fan_outs() -> list[Spec]:
    """Several calls of one page: at once through asyncio drivers, in turn through the others."""
    return [
        Spec(
            suite="fan-outs",
            group=name,
            name=f"{driver} {'at once' if driver in ASYNC_DRIVERS else 'in turn'}",
            backend=backend,
            driver=driver,
            open=partial(opening, driver=driver),
        )
        for name, opening in (
            ("page: cart, refresh, summary", fan_out.open_page),
            ("ten carts", fan_out.open_ten_carts),
        )
        for backend, driver in _drivers()
    ]


def cart_sizes() -> list[Spec]:
    """cart.get of carts of set sizes."""
    return [
        Spec(
            suite="cart sizes",
            group=f"cart.get of {lines} lines" if lines > 1 else "cart.get of 1 line",
            name=driver,
            backend=backend,
            driver=driver,
            open=partial(open_cart_of, driver=driver, lines=lines, place=LINES.index(lines)),
        )
        for lines in LINES
        for backend, driver in _drivers()
    ]


def _drivers() -> Iterator[tuple[str, str]]:
    return ((backend, driver) for backend, drivers in DRIVERS.items() for driver in drivers)


def _open_pattern(bench: Bench, pattern: str, driver: str) -> Case:
    awaited = driver in ASYNC_DRIVERS
    call = calls.CALLS[pattern]
    if pattern.startswith("session."):
        sessions = bench.session_store(driver), bench.sessions(driver)
        return Case(partial(call, *sessions), awaited)
    store, work = bench.cart_store(driver), bench.carts(driver)
    tidy = partial(calls.restock, store, work) if pattern == "cart.remove" else nothing_to_tidy
    return Case(partial(call, store, work), awaited, tidy)
