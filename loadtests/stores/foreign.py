"""Stores made by a factory, wrapped so that every error they raise is a counted call error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, ParamSpec, TypeVar

from loadtests.errors import BackendError, CallError
from loadtests.model import Book, CartItem, CartSummary, Session
from loadtests.stores import CartStore, SessionStore

UNMEASURED_NS: Final = -1  # the store does not measure its wire time

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _Foreign:
    def __init__(self, store: CartStore | SessionStore) -> None:
        self._store = store
        self.wire_ns = UNMEASURED_NS

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _call(
        self,
        method: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        try:
            return method(*args, **kwargs)
        except CallError:
            raise
        except Exception as error:
            # named by its class: a message may contain keys or addresses, and would not aggregate
            raise BackendError(name=type(error).__name__) from error
        finally:
            self.wire_ns = getattr(self._store, "wire_ns", UNMEASURED_NS)


class ForeignCartStore(_Foreign):
    """A factory's `CartStore`, wrapped."""

    _store: CartStore

    def get(self, user_id: str) -> list[CartItem]:
        """See `CartStore.get`."""
        return self._call(self._store.get, user_id)

    def get_item(self, user_id: str, book_id: str) -> CartItem | None:
        """See `CartStore.get_item`."""
        return self._call(self._store.get_item, user_id, book_id)

    def add(self, user_id: str, book: Book, quantity: int, now: datetime) -> int:
        """See `CartStore.add`."""
        return self._call(self._store.add, user_id, book, quantity, now)

    def update(self, user_id: str, book_id: str, quantity: int, now: datetime) -> None:
        """See `CartStore.update`."""
        self._call(self._store.update, user_id, book_id, quantity, now)

    def remove(self, user_id: str, book_id: str) -> None:
        """See `CartStore.remove`."""
        self._call(self._store.remove, user_id, book_id)


class ForeignSessionStore(_Foreign):
    """A factory's `SessionStore`, wrapped."""

    _store: SessionStore

    def create(self, session: Session) -> None:
        """See `SessionStore.create`."""
        self._call(self._store.create, session)

    def get(self, session_id: str, now: datetime) -> Session | None:
        """See `SessionStore.get`."""
        return self._call(self._store.get, session_id, now)

    def refresh(self, session_id: str, now: datetime) -> None:
        """See `SessionStore.refresh`."""
        self._call(self._store.refresh, session_id, now)

    def store_summary(self, session_id: str, summary: CartSummary, now: datetime) -> None:
        """See `SessionStore.store_summary`."""
        self._call(self._store.store_summary, session_id, summary, now)


class NoStore:
    """Placeholder for a store that a factory does not provide; never called."""

    wire_ns = UNMEASURED_NS

    def close(self) -> None:
        """Do nothing."""
