"""A team's own data layer, as `loadtests compare --interleave` is given it."""

from __future__ import annotations

import sys
from typing import Any

from loadtests.stores import CartStore
from loadtests.stores.open import open_cart_store
from loadtests.targets.endpoints import Endpoints

sys.stdout.write("a module may print when it is imported\n")


class CachedCarts:
    """A cart store over another that keeps no wire time."""

    def __init__(self, inner: CartStore) -> None:
        self._inner = inner

    def get(self, *keys: Any) -> Any:
        return self._inner.get(*keys)

    def get_item(self, *keys: Any) -> Any:
        return self._inner.get_item(*keys)

    def add(self, *values: Any) -> Any:
        return self._inner.add(*values)

    def update(self, *values: Any) -> Any:
        return self._inner.update(*values)

    def remove(self, *keys: Any) -> Any:
        return self._inner.remove(*keys)

    def close(self) -> None:
        self._inner.close()


def open_stores(endpoints: Endpoints) -> tuple[CachedCarts, None]:
    assert endpoints.dynamodb
    return CachedCarts(open_cart_store("wire", endpoints)), None


open_stores.backend = "dynamodb"  # type: ignore[attr-defined]


def broken(endpoints: Endpoints) -> tuple[CachedCarts, None]:
    raise ConnectionError("the pool is empty")


opened: list[object] = []


def weary(endpoints: Endpoints) -> tuple[CachedCarts, None]:
    opened.append(endpoints)
    if len(opened) > 3:
        raise ConnectionError("no more connections")
    return open_stores(endpoints)
