"""The stores that a class declares: where it is called, who opens them, what is called on them."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.config import Config, Load
from loadtests.errors import UsageError
from loadtests.load.declared_stores import (
    DeclaredStore,
    ScenarioClass,
    StoreNeed,
    called_methods,
    declared_patterns,
    only_store,
    open_user_stores,
    served_patterns,
    store,
    stores_among,
    subjects_of_class,
)
from loadtests.load.subjects import LoadSubject
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints

HERE = __name__
CARTS = ScenarioClass("CartUser", {"cart.get": 3.0, "cart.add": 1.0}, (StoreNeed("carts"),))
OWN = StoreNeed("books", "postgres", has_factory=True)
SEARCH = ScenarioClass("SearchUser", {"catalogue.search": 2.0}, (OWN,))
LEFT = ScenarioClass("SearchUser", {"catalogue.search": 2.0}, (StoreNeed("books"),))
WIRE = LoadSubject("dynamodb", "wire", "wire")
ENDPOINTS = Endpoints(dynamodb=DynamoDBEndpoint("http://127.0.0.1:1"))


class Made:
    """A store that notes when it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


made: list[Made] = []


def new(endpoints: Endpoints) -> Made:
    made.append(Made())
    return made[-1]


def shop(endpoints: Endpoints) -> dict[str, Made]:
    return {"carts": new(endpoints), "unused": new(endpoints)}


def boom(endpoints: Endpoints) -> Made:
    raise OSError("no such host")


def config(**load: Any) -> Config:
    return Config(load=Load(**load))


def called(needs: ScenarioClass, **load: Any) -> list[str]:
    return [str(subject) for subject in subjects_of_class(needs, config(**load))]


# --- where a class is called


def test_a_class_is_called_where_all_its_stores_can_be_had() -> None:
    assert called(CARTS) == ["dynamodb/wire", "postgres/psycopg"]
    assert called(SEARCH) == ["postgres/psycopg"]
    assert called(ScenarioClass("Bare", {"a": 1.0})) == ["dynamodb/wire", "postgres/psycopg"]


def test_a_factory_gives_stores_that_no_driver_has() -> None:
    assert called(LEFT, driver="postgres/shop:make") == ["postgres/shop-make"]
    assert called(CARTS, driver="postgres/shop:make") == ["dynamodb/wire", "postgres/shop-make"]


@pytest.mark.parametrize(
    ("needs", "load", "message"),
    [
        (SEARCH, {"backend": "dynamodb"}, "on dynamodb/wire, since its store books is of postgres"),
        (LEFT, {}, "on dynamodb/wire, whose driver gives no store books; on postgres/psycopg"),
        (SEARCH, {"subjects": "wire boto3"}, "SearchUser cannot be called on dynamodb/wire"),
        (SEARCH, {"subjects": "psycopg wire"}, "SearchUser cannot be called on dynamodb/wire"),
    ],
)
def test_a_class_that_nobody_can_give_its_stores_is_refused(
    needs: ScenarioClass, load: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        called(needs, **load)
    assert caught.value.hint


def test_what_each_subject_serves_is_in_the_order_of_declaration() -> None:
    assert served_patterns([SEARCH, CARTS], Config()) == {
        "postgres/psycopg": ["catalogue.search", "cart.get", "cart.add"],
        "dynamodb/wire": ["cart.get", "cart.add"],
    }
    assert declared_patterns([CARTS, SEARCH, CARTS]) == ["cart.get", "cart.add", "catalogue.search"]


@pytest.mark.parametrize(
    ("stores", "name"),
    [
        ([["carts"]], "carts"),
        ([["carts"], ["carts"]], "carts"),
        ([["carts"], ["books!"]], "carts"),
        ([["books!"]], "books"),
        ([["carts"], ["sessions"]], ""),
        ([["books!", "orders!"]], ""),
        ([[]], ""),
    ],
)
def test_the_only_store(stores: list[list[str]], name: str) -> None:
    needs = [
        [StoreNeed(each.rstrip("!"), has_factory=each.endswith("!")) for each in of_class]
        for of_class in stores
    ]
    assert only_store(needs) == name


# --- opening


def declared(**stores: Any) -> dict[str, DeclaredStore]:
    """These stores as a user class declares them."""
    cls = type("User", (), stores)
    return stores_among(vars(cls))


def test_each_store_comes_from_the_factory_by_name_else_from_the_scenario() -> None:
    subject = LoadSubject("dynamodb", f"{HERE}:shop", "shop")
    made.clear()
    stores = open_user_stores(
        declared(carts=store(new), books=store(new)), subject, ENDPOINTS, only=""
    )
    carts, unused, books = made
    assert stores.by_name == {"carts": carts, "books": books}
    stores.close()
    assert [each.closed for each in (carts, unused, books)] == [1, 1, 1]


def test_a_driver_opens_only_what_is_declared() -> None:
    stores = open_user_stores(declared(carts=store()), WIRE, ENDPOINTS, only="carts")
    assert list(stores.by_name) == ["carts"]
    assert len(stores.opened) == 1
    stores.close()


def test_what_was_opened_is_closed_when_another_factory_fails() -> None:
    made.clear()
    with pytest.raises(UsageError, match=r"The factory of User\.books failed: OSError: no such"):
        open_user_stores(declared(carts=store(new), books=store(boom)), WIRE, ENDPOINTS, only="")
    assert [each.closed for each in made] == [1]


def test_a_declaration_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="not a function"):
        store("books")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"'mysql'.*there is no such backend"):
        store(new, backend="mysql")
    vars(boom)["backend"] = "postgres"
    assert store(boom).backend == "postgres"


# --- what methods call


class Caller:
    carts: Any
    books: Any
    call: Any

    def plain(self) -> None:
        self.call(self.carts.get, 1)

    def nested(self) -> None:
        for _ in range(2):
            with self.books.lock:
                self.call(lambda: self.books.by_title("x"))

    def indirect(self) -> None:
        books = self.books
        self.call(books.by_title)

    @staticmethod
    def without_user() -> None: ...


@pytest.mark.parametrize(
    ("method", "seen"),
    [
        (Caller.plain, {"call": set(), "carts": {"get"}}),
        (Caller.nested, {"call": set(), "books": {"lock", "by_title"}}),
        (Caller.indirect, {"call": set(), "books": set()}),
        (Caller.without_user, {}),
        (len, {}),
    ],
)
def test_what_a_method_calls_on_its_stores(method: Any, seen: dict[str, set[str]]) -> None:
    assert called_methods(method) == seen
