from __future__ import annotations

import pytest

from loadtests.config import Config, Load
from loadtests.errors import UsageError
from loadtests.load.locust.checks import check_profiles, check_stores
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.schedule.arrivals import Segment, steps
from loadtests.targets.endpoints import Endpoints

HERE = __name__
closed: list[str] = []


class Store:
    def get(self) -> None: ...
    def get_item(self) -> None: ...
    def add(self) -> None: ...
    def update(self) -> None: ...
    def remove(self) -> None: ...

    def close(self) -> None:
        closed.append("cart")


def carts_only(endpoints: Endpoints) -> tuple[Store, None]:
    return Store(), None


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


class SessionUser(OpenLoopUser):
    @access_pattern("session.get", share=1)
    def get(self) -> None: ...


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
    with pytest.raises(UsageError, match=r"carts_only gives no session store.*session\.get"):
        check_stores(SUBJECTS, Endpoints(), [CartUser, SessionUser])


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
