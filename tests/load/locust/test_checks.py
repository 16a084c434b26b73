from __future__ import annotations

from typing import Any

import pytest

from loadtests.config import Config, Load
from loadtests.errors import UsageError
from loadtests.load.declared_stores import store
from loadtests.load.locust.checks import check_profiles, check_stores
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.schedule.arrivals import Segment, steps
from loadtests.targets.endpoints import Endpoints

HERE = __name__
closed: list[str] = []


class Store:
    def get(self) -> None: ...

    def close(self) -> None:
        closed.append("cart")


def carts_only(endpoints: Endpoints) -> tuple[Store, None]:
    return Store(), None


def alone(endpoints: Endpoints) -> Store:
    return Store()


class CartUser(OpenLoopUser):
    carts: Any = store()

    @access_pattern("cart.get", share=1)
    def get(self) -> None:
        self.call(self.carts.get)


class SessionUser(OpenLoopUser):
    sessions: Any = store()

    @access_pattern("session.get", share=1)
    def get(self) -> None: ...


class SearchUser(OpenLoopUser):
    books: Any = store(lambda _: Store(), backend="postgres")

    @access_pattern("catalogue.search", share=1)
    def search(self) -> None:
        self.call(self.books.by_title, "a")


class RampUser(CartUser):
    @classmethod
    def profile(cls, config: Config, backend: str) -> tuple[Segment, ...]:
        return steps([10.0, 20.0], 5.0)


SUBJECTS = Config(load=Load(subjects=f"wire dynamodb/{HERE}:carts_only"))


def test_a_factorys_stores_are_opened_once_and_closed() -> None:
    closed.clear()
    check_stores(SUBJECTS, Endpoints(), [CartUser])
    assert closed == ["cart"]


def test_a_store_that_the_scenario_needs_and_the_factory_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match=r"carts_only gives no store sessions.*gives carts"):
        check_stores(SUBJECTS, Endpoints(), [CartUser, SessionUser])


def test_a_store_without_a_name_is_the_only_one_that_is_declared() -> None:
    config = Config(load=Load(driver=f"dynamodb/{HERE}:alone"))
    check_stores(config, Endpoints(), [CartUser])
    with pytest.raises(UsageError, match="one store without a name"):
        check_stores(config, Endpoints(), [CartUser, SessionUser])


def test_a_method_that_the_scenario_calls_and_the_store_lacks_is_refused() -> None:
    closed.clear()
    with pytest.raises(
        UsageError,
        match=r"The store books on postgres/psycopg \(Store\) has no by_title, which SearchUser",
    ):
        check_stores(Config(), Endpoints(), [SearchUser])
    assert closed == ["cart"]


def test_drivers_are_not_opened_before_they_are_needed() -> None:
    check_stores(Config(), Endpoints(), [CartUser, SessionUser])


def test_a_rate_that_changes_is_refused_for_alternating_subjects_only() -> None:
    with pytest.raises(UsageError, match="RampUser changes its rate") as caught:
        check_profiles(SUBJECTS, [CartUser, RampUser])
    assert "--blocks 0" in caught.value.hint
    check_profiles(SUBJECTS, [CartUser])
    check_profiles(Config(), [RampUser])
    load = SUBJECTS.load.model_copy(update={"blocks": 0})
    check_profiles(SUBJECTS.model_copy(update={"load": load}), [RampUser])
