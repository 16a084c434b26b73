"""The nine access patterns as calls on a store, blocking or awaited, with keys of the workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from loadtests.errors import ResponseInvalid
from loadtests.load.workload import Carts, Sessions
from loadtests.microbench.suites.bench import AnyCartStore, AnySessionStore
from loadtests.microbench.suites.cases import Call
from loadtests.microbench.suites.plans import BATCH
from loadtests.microbench.timing.passes import SETTLING
from loadtests.model import Session


def _now() -> datetime:
    return datetime.now(UTC)


def get_cart(store: AnyCartStore, work: Carts) -> Call:
    """cart.get."""
    cart = work.any_cart()
    writes = cart.writes
    return Call(store.get, (cart.user_id,), lambda lines: cart.check(lines, writes), store=store)


def get_item(store: AnyCartStore, work: Carts) -> Call:
    """cart.get_item."""
    cart, book_id = work.any_line()
    writes = cart.writes
    return Call(
        store.get_item,
        (cart.user_id, book_id),
        lambda line: cart.check_line(line, book_id, writes),
        store=store,
    )


def add(store: AnyCartStore, work: Carts) -> Call:
    """cart.add: the line that was last removed, else one more copy of a line."""
    cart, book = work.to_add()

    def settle(quantity: int) -> None:
        work.was_added(cart, book.book_id, quantity)

    return Call(store.add, (cart.user_id, book, 1, _now()), settle, cart, store)


def update(store: AnyCartStore, work: Carts) -> Call:
    """cart.update."""
    cart, book_id = work.any_line()
    quantity = work.quantity()

    def settle(_: object) -> None:
        cart.lines[book_id] = quantity

    return Call(store.update, (cart.user_id, book_id, quantity, _now()), settle, cart, store)


def remove(store: AnyCartStore, work: Carts) -> Call:
    """cart.remove; adds, or `restock`, undo it."""
    cart, book_id = work.to_remove()

    def settle(_: object) -> None:
        work.was_removed(cart, book_id)

    return Call(store.remove, (cart.user_id, book_id), settle, cart, store)


def restock(store: AnyCartStore, work: Carts) -> Iterator[Call]:
    """Add the removed lines again, except one batch, which the next batch of adds puts back.

    Where adds are measured too this gives nothing. Where removals are measured alone it keeps the
    carts' size.
    """
    for _ in range(missing_lines(work) - BATCH - SETTLING):
        yield add(store, work)


def missing_lines(work: Carts) -> int:
    """Lines that were removed and are not back."""
    missing = {
        (cart.user_id, book_id)
        for cart, book_id in work.removed
        if cart.known and book_id not in cart.lines
    }
    return len(missing)


def create(store: AnySessionStore, work: Sessions) -> Call:
    """session.create."""
    session = work.new(_now())
    return Call(
        store.create, (session,), lambda _: work.was_created(session.session_id), store=store
    )


def get_session(store: AnySessionStore, work: Sessions) -> Call:
    """session.get."""
    session_id = work.any_id()

    def settle(session: Session | None) -> None:
        if session is None or session.session_id != session_id:
            raise ResponseInvalid(f"session {session_id} is missing")

    return Call(store.get, (session_id, _now()), settle, store=store)


def refresh(store: AnySessionStore, work: Sessions) -> Call:
    """session.refresh."""
    return Call(store.refresh, (work.any_id(), _now()), store=store)


def store_summary(store: AnySessionStore, work: Sessions) -> Call:
    """session.store_summary."""
    return Call(store.store_summary, (work.any_id(), work.summary(), _now()), store=store)


CART_CALLS: Final[dict[str, Callable[[AnyCartStore, Carts], Call]]] = {
    "cart.get": get_cart,
    "cart.get_item": get_item,
    "cart.add": add,
    "cart.update": update,
    "cart.remove": remove,
}
SESSION_CALLS: Final[dict[str, Callable[[AnySessionStore, Sessions], Call]]] = {
    "session.create": create,
    "session.get": get_session,
    "session.refresh": refresh,
    "session.store_summary": store_summary,
}
