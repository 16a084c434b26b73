"""What both contracts share: their users, and the methods that a store has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, ClassVar, Final, TypeVar
from uuid import uuid4

import pytest

from loadtests.errors import UsageError

Test = TypeVar("Test", bound=Callable[..., None])

_NEEDED: Final = "needed_methods"


def needs(*methods: str) -> Callable[[Test], Test]:
    """Note the methods of the store that a test calls."""

    def note(test: Test) -> Test:
        test.__dict__[_NEEDED] = frozenset(methods)
        return test

    return note


class StoreContract:
    """The base of both contracts.

    `methods` are those that the store has: a subclass names fewer, and the tests that call another
    one are skipped.
    """

    every_method: ClassVar[Collection[str]] = ()
    methods: ClassVar[Collection[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        unknown = sorted(set(cls.methods) - set(cls.every_method))
        if unknown:
            raise UsageError(
                f"{cls.__name__}.methods names {', '.join(unknown)}, which the contract does not"
                f" have. It has: {', '.join(cls.every_method)}."
            )

    @pytest.fixture(autouse=True)
    def _methods_of_the_store(self, request: pytest.FixtureRequest) -> None:
        needed: frozenset[str] = getattr(request.function, _NEEDED, frozenset())
        if missing := sorted(needed - set(self.methods)):
            pytest.skip(f"{type(self).__name__}.methods does not name {', '.join(missing)}")

    @pytest.fixture
    def new_user(self) -> Callable[[], str]:
        """Makes a user whom the store may refer to; returns the id, another one at each call."""
        return lambda: f"contract-{uuid4()}"

    @pytest.fixture
    def user(self, new_user: Callable[[], str]) -> str:
        """The id of a user without a cart or a session."""
        return new_user()


def opened_store(open_store: Callable[[], Any] | None, contract: str, fixture: str) -> Any:
    """A store of the fixture `open_carts` or `open_sessions`; fails where no subclass has it."""
    if open_store is None:
        pytest.fail(
            f"{contract} has no store to test: give it the fixture {fixture}, which returns a "
            "function that opens one.",
            pytrace=False,
        )
    return open_store()


def another_store(open_store: Callable[[], Any] | None, fixture: str) -> Any:
    """One more store beside the one under test; skips where there is none."""
    if open_store is None:
        pytest.skip(f"needs the fixture {fixture}, which opens a store of its own")
    return open_store()


def check_wire_time(store: object, service_ns: int) -> None:
    """Check `wire_ns` of a call that took `service_ns`; skips where the store does not measure."""
    wire_ns = getattr(store, "wire_ns", None)
    if wire_ns is None:
        pytest.skip("the store has no wire_ns")
    assert type(wire_ns) is int
    assert 0 < wire_ns <= service_ns
