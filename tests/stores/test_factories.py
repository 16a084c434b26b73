from __future__ import annotations

import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import BackendError, LineNotFound, TargetError, UsageError
from loadtests.measure.recorder import SeriesRecorder
from loadtests.stores.factories import (
    backend_of_factory,
    confirm_factory,
    find_factory,
    is_factory,
    open_factory_stores,
)
from loadtests.stores.foreign import UNMEASURED_NS, NoStore
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SECRET = "postgresql://gate:hunter2@127.0.0.1/shop"
BOTH = Endpoints(postgres=PostgresEndpoint(SECRET))
HERE = __name__


class Carts:
    closed = 0

    def get(self, user_id: object) -> object:
        return [user_id]

    def get_item(self, user_id: object, book_id: object) -> None:
        raise LineNotFound

    def add(self, user_id: object, book: object, quantity: object, now: object) -> None:
        raise KeyError("secret-key")

    def update(self, user_id: object, book_id: object, quantity: object, now: object) -> None:
        self.updated = (user_id, book_id, quantity, now)

    def remove(self, user_id: object, book_id: object) -> None:
        self.wire_ns = 77

    def close(self) -> None:
        self.closed += 1


class Sessions:
    def create(self, session: object) -> None:
        self.created = session

    def get(self, session_id: object, now: object) -> object:
        return (session_id, now)

    def refresh(self, session_id: object, now: object) -> None:
        self.refreshed = (session_id, now)

    def store_summary(self, session_id: object, summary: object, now: object) -> None:
        self.summary = (session_id, summary, now)

    def close(self) -> None:
        pass


class Waiting(Sessions):
    async def get(self, session_id: object, now: object) -> object:
        return None


carts_made = Carts()


class Shop:
    """A factory need not be a plain function."""

    @staticmethod
    def open(endpoints: Endpoints) -> tuple[Carts, Sessions]:
        assert endpoints is BOTH
        return carts_made, Sessions()


def no_sessions(endpoints: Endpoints) -> list[object]:
    return [Carts(), None]


def one_store(endpoints: Endpoints) -> Carts:
    return Carts()


def three(endpoints: Endpoints) -> tuple[object, ...]:
    return Carts(), Sessions(), 3


def half_a_store(endpoints: Endpoints) -> tuple[object, object]:
    return Sessions(), Sessions()


def awaiting(endpoints: Endpoints) -> tuple[object, object]:
    return None, Waiting()


def boom(endpoints: Endpoints) -> None:
    assert endpoints.postgres is not None
    raise RuntimeError(f"cannot reach {endpoints.postgres.dsn}")


def refused(endpoints: Endpoints) -> None:
    raise TargetError("No such table.", hint="Make it.")


def no_arguments() -> tuple[None, None]:
    return None, None


async def coroutine(endpoints: Endpoints) -> tuple[None, None]:
    return None, None


vars(no_sessions)["backend"] = "dynamodb"
vars(three)["backend"] = "mysql"


def opened(name: str) -> tuple[Any, Any]:
    """The stores of a factory here; their arguments are only passed on."""
    return open_factory_stores(f"{HERE}:{name}", BOTH)


def test_a_colon_makes_a_factory() -> None:
    assert is_factory("shop.carts:open")
    assert not is_factory("wire")


def test_stores_are_called_through() -> None:
    carts, sessions = opened("Shop.open")
    assert carts.get("u1") == ["u1"]
    assert sessions.get("s1", NOW) == ("s1", NOW)
    carts.update("u", "b", 3, NOW)
    assert carts_made.updated == ("u", "b", 3, NOW)
    for method, arguments, attribute in (
        ("create", ("whole",), "created"),
        ("refresh", ("s", NOW), "refreshed"),
        ("store_summary", ("s", "sum", NOW), "summary"),
    ):
        getattr(sessions, method)(*arguments)
        assert getattr(sessions._store, attribute) in (arguments, arguments[0])
    carts.close()
    assert carts_made.closed == 1


def test_whatever_a_store_raises_is_a_call_error_by_its_class() -> None:
    carts, _ = opened("Shop.open")
    with pytest.raises(LineNotFound):
        carts.get_item("u", "b")
    with pytest.raises(BackendError) as caught:
        carts.add("u", None, 1, NOW)
    assert caught.value.name == "KeyError"
    assert "secret-key" not in str(caught.value)


def test_wire_time_is_taken_where_the_store_keeps_it() -> None:
    carts, _ = opened("no_sessions")
    carts.get("u")
    assert carts.wire_ns == UNMEASURED_NS
    carts.remove("u", "b")
    assert carts.wire_ns == 77
    series = SeriesRecorder("dynamodb", "x", "cart.get", warm_up=False)
    series.record(0, 1, 2, UNMEASURED_NS)
    series.record(0, 1, 2, 0)
    assert (len(series.service), series.wire.tolist()) == (2, [UNMEASURED_NS, 0])
    assert UNMEASURED_NS < 0


def test_one_of_the_two_may_be_missing() -> None:
    carts, sessions = open_factory_stores(f"{HERE}:no_sessions", BOTH)
    assert carts is not None
    assert sessions is None
    NoStore().close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all:open", "module nowhere was not found"),
        ("loadtests.nothing:open", r"module loadtests\.nothing was not found"),
        (f"{HERE}:nothing", f"The module {HERE} has no nothing"),
        (f"{HERE}:Shop.nothing", "has no Shop.nothing"),
        (f"{HERE}:carts_made", "its type Carts is not callable"),
        (f"{HERE}:coroutine", "is a coroutine function"),
        (f"{HERE}:one_store", "returned Carts, not a pair"),
        (f"{HERE}:three", "returned tuple, not a pair"),
        (f"{HERE}:half_a_store", r"carts store of .* \(Sessions\) has no get_item, add, update"),
        (f"{HERE}:awaiting", r"sessions store of .* \(Waiting\) has coroutine functions: get"),
        (f"{HERE}:refused", r"failed: No such table\."),
        (f"{HERE}:no_arguments", r"failed: TypeError: no_arguments\(\) takes 0"),
        ("open", "is not the name of a store factory"),
        (":open", "is not the name of a store factory"),
        ("shop:", "is not the name of a store factory"),
        ("shop..a:open", "is not the name of a store factory"),
        ("shop:open:again", "is not the name of a store factory"),
        ("../shop:open", "is not the name of a store factory"),
    ],
)
def test_what_cannot_be_used_is_a_users_mistake_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_factory_stores(name, BOTH)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_factory_that_raises_is_told_without_the_password() -> None:
    with pytest.raises(UsageError, match="RuntimeError: cannot reach") as caught:
        open_factory_stores(f"{HERE}:boom", BOTH)
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    (tmp_path / "broken_shop.py").write_text(textwrap.dedent(body))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_shop", raising=False)
    with pytest.raises(UsageError, match="The module broken_shop cannot be imported") as caught:
        find_factory("broken_shop:open")
    assert message in caught.value.message


def test_a_factory_may_say_which_backend_it_calls() -> None:
    assert backend_of_factory(f"{HERE}:no_sessions") == "dynamodb"
    with pytest.raises(UsageError, match="does not declare its backend") as caught:
        backend_of_factory(f"{HERE}:one_store")
    assert f"dynamodb/{HERE}:one_store" in caught.value.hint
    with pytest.raises(UsageError, match="has backend = 'mysql'"):
        backend_of_factory(f"{HERE}:three")


def test_name_and_attribute_may_not_contradict_each_other() -> None:
    confirm_factory(f"{HERE}:no_sessions", "dynamodb")
    confirm_factory(f"{HERE}:one_store", "postgres")  # it does not say
    with pytest.raises(UsageError, match=r"postgres/.*no_sessions: .* backend dynamodb") as caught:
        confirm_factory(f"{HERE}:no_sessions", "postgres")
    assert f"Use dynamodb/{HERE}:no_sessions" in caught.value.hint
