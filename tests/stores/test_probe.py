"""Which stores of a subject are called before any data is seeded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from loadtests.stores import probe
from loadtests.targets.endpoints import Endpoints


class Store:
    """Notes which of its methods were called; has those that are named."""

    def __init__(self, *methods: str) -> None:
        self.calls: list[str] = []
        for name in (*methods, "close"):
            setattr(self, name, lambda *_, name=name: self.calls.append(name))


class Rows:
    """Rows of the probe that see every write."""

    label = "a database"

    def __getattr__(self, name: str) -> Any:
        return (lambda: True) if name.startswith("sees_") else self


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the subject gives; the rows of the probe are in no database."""

    @contextmanager
    def open_rows(*_: object) -> Iterator[Rows]:
        yield Rows()

    given: dict[str, Any] = {}
    monkeypatch.setattr(probe, "open_stores", lambda *_: given)
    monkeypatch.setattr(probe, "open_probe_rows", open_rows)
    return given


def test_stores_of_unknown_meaning_are_closed_and_not_called(stores: dict[str, Any]) -> None:
    stores["books"] = Store("by_title")
    stores["carts"] = Store("get")  # not a whole cart store
    probe.probe_store("shop.stores:open", "postgres", Endpoints())
    assert [store.calls for store in stores.values()] == [["close"], ["close"]]


def test_each_whole_store_is_called_with_every_pattern(stores: dict[str, Any]) -> None:
    carts = ("add", "get", "get_item", "update", "remove")
    sessions = ("create", "get", "refresh", "store_summary")
    for given in ({"carts": carts}, {"sessions": sessions}, {"carts": carts, "sessions": sessions}):
        stores.clear()
        stores.update({name: Store(*methods) for name, methods in given.items()})
        probe.probe_store("shop.stores:open", "postgres", Endpoints())
        assert {name: tuple(store.calls[:-1]) for name, store in stores.items()} == given
        assert all(store.calls[-1] == "close" for store in stores.values())
