from __future__ import annotations

import asyncio
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.errors import TargetError, UsageError
from loadtests.stores.asyncio_calls import asyncio_caller
from loadtests.stores.factories import (
    backend_of_factory,
    confirm_factory,
    find_factory,
    is_factory,
    missing_methods,
    open_factory_stores,
    open_own_store,
)
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint

SECRET = "postgresql://gate:hunter2@127.0.0.1/shop"
BOTH = Endpoints(postgres=PostgresEndpoint(SECRET))
HERE = __name__


class Carts:
    def get(self, user_id: object) -> object:
        return [user_id]

    def close(self) -> None: ...


class Sessions:
    def get(self, session_id: object, now: object) -> object:
        return (session_id, now)


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


def named(endpoints: Endpoints) -> dict[str, object]:
    return {"carts": Carts(), "books": Carts(), "sessions": None}


def without_loop(endpoints: Endpoints) -> object:
    return asyncio.get_running_loop()


async def awaited(endpoints: Endpoints) -> dict[str, object]:
    return {"loop": SimpleNamespace(made_in=without_loop(endpoints)), "sessions": Waiting()}


def nothing_made(endpoints: Endpoints) -> None: ...


def numbered(endpoints: Endpoints) -> dict[int, object]:
    return {1: Carts()}


def opened(name: str, only: str = "") -> dict[str, Any]:
    """The stores of a factory here."""
    return open_factory_stores(f"{HERE}:{name}", BOTH, only=only)


def test_a_colon_makes_a_factory() -> None:
    assert is_factory("shop.carts:open")
    assert not is_factory("wire")


def test_a_factory_returns_its_stores_by_name_or_as_the_pair() -> None:
    assert opened("Shop.open")["carts"] is carts_made
    assert set(opened("Shop.open")) == {"carts", "sessions"}
    assert set(opened("no_sessions")) == {"carts"}
    assert set(opened("named")) == {"carts", "books"}


def test_a_store_alone_has_the_name_of_the_only_one_that_is_declared() -> None:
    assert set(opened("one_store", only="books")) == {"books"}
    assert set(opened("one_store")) == {""}


def test_coroutine_methods_are_awaited_in_the_loop_that_awaits_their_factory() -> None:
    assert opened("awaiting")["sessions"].get("s1", None) is None
    stores = opened("awaited")
    assert stores["sessions"].get("s1", None) is None
    assert stores["loop"].made_in is asyncio_caller().loop
    with pytest.raises(UsageError) as caught:
        opened("without_loop")
    assert "async def" in caught.value.hint


def test_a_scenarios_own_factory_may_be_a_class() -> None:
    assert isinstance(open_own_store(lambda _: Carts(), "SearchUser.books", BOTH), Carts)
    with pytest.raises(UsageError, match=r"SearchUser\.books returned None"):
        open_own_store(nothing_made, "SearchUser.books", BOTH)
    with pytest.raises(UsageError, match=r"SearchUser\.books failed: RuntimeError: cannot reach"):
        open_own_store(boom, "SearchUser.books", BOTH)


def test_only_the_methods_that_are_called_are_missed() -> None:
    assert missing_methods(Carts(), ["get", "close"]) == []
    assert missing_methods(Carts(), ["gets", "get", "closed", "drop"]) == ["closed", "drop", "gets"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at_all:open", "module nowhere was not found"),
        ("loadtests.nothing:open", r"module loadtests\.nothing was not found"),
        (f"{HERE}:nothing", f"The module {HERE} has no nothing"),
        (f"{HERE}:Shop.nothing", "has no Shop.nothing"),
        (f"{HERE}:carts_made", "its type Carts is not callable"),
        (f"{HERE}:coroutine", "returned no store"),
        (f"{HERE}:without_loop", "failed: RuntimeError: no running event loop"),
        (f"{HERE}:three", "returned 3 stores without names"),
        (f"{HERE}:numbered", "names are no text"),
        (f"{HERE}:nothing_made", "returned no store"),
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
