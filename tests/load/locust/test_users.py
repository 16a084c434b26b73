"""What a user class declares, and how a user serves the arrivals of its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment
from locust.exception import StopUser

from loadtests.errors import CallTimeout, UsageError
from loadtests.load.locust.session import LoadSession, open_session, session_of
from loadtests.load.locust.users import OpenLoopUser, PatternCall, access_pattern, note_capacity
from loadtests.measure.recorder import Recorder, SeriesRecorder
from loadtests.measure.series import CapacityTotals


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=3)
    def get(self) -> None: ...


class ShoppingUser(CartUser):
    @access_pattern("cart.add", share=2)
    def add(self) -> None: ...

    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


class ShrinkingUser(OpenLoopUser):
    @access_pattern("cart.add", share=1)
    def add(self) -> None: ...

    @access_pattern("cart.remove", share=2)
    def remove(self) -> None: ...


def test_a_subclass_adds_patterns_and_replaces_shares() -> None:
    shares = {method.pattern: method.share for method in ShoppingUser.pattern_methods}
    assert shares == {"cart.get": 1, "cart.add": 2}
    assert [method.share for method in CartUser.pattern_methods] == [3]


@pytest.mark.parametrize(
    ("pattern", "share", "message"),
    [("cart.steal", 1.0, "'cart.steal' is no access pattern"), ("cart.get", 0.0, "positive")],
)
def test_unknown_patterns_and_empty_shares_are_refused(
    pattern: str, share: float, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        access_pattern(pattern, share=share)


def test_a_mix_that_empties_the_carts_is_refused() -> None:
    with pytest.raises(UsageError, match="removes more cart lines than it adds"):
        ShrinkingUser.check_mix()
    ShoppingUser.check_mix()


def test_a_class_that_declares_no_pattern_is_refused() -> None:
    with pytest.raises(UsageError, match="declares no access pattern"):
        OpenLoopUser.check_mix()


# --- the session


def test_a_user_joins_and_leaves_the_users_of_its_session() -> None:
    environment = Environment(user_classes=[CartUser])
    session = open_session(environment)
    assert session_of(environment) is session
    user = CartUser(environment)
    with pytest.raises(StopUser):
        user.on_start()  # no run has been built
    user.on_stop()
    seen: list[tuple[str, object]] = []
    session.users = SimpleNamespace(
        join=lambda user: seen.append(("join", user)),
        leave=lambda user: seen.append(("leave", user)),
    )
    user.on_start()
    user.on_stop()
    assert seen == [("join", user), ("leave", user)]
    session.refusal = UsageError("The rate is -1.")
    with pytest.raises(StopUser):
        user.on_start()


def test_without_the_plugin_there_is_no_session() -> None:
    with pytest.raises(UsageError, match="no load-test plugin"):
        session_of(Environment())


def test_an_abort_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    session = LoadSession(Environment())
    session.abort(UsageError("The factory failed.", hint="Look at it."))
    session.abort(UsageError("The factory failed again."))
    assert session.exit_code == 2
    assert capsys.readouterr().err == "Error: The factory failed.\nHint: Look at it.\n"


# --- serving


@dataclass
class Group:
    """Arrivals in order; the last one stops the user."""

    arrivals: list[int]
    method: Callable[[Any], None]
    run: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(measure_from_ns=100))
    failures: list[str] = field(default_factory=list)
    warm_ups_ended: int = 0

    def __post_init__(self) -> None:
        self.pair = Recorder().pair("dynamodb", "wire", "cart.get")

    def take(self) -> int:
        if not self.arrivals:
            raise StopUser
        return self.arrivals.pop(0)

    def draw(self) -> PatternCall:
        return self.method, self.pair

    def end_warm_up(self, user: OpenLoopUser) -> None:
        user.warming_up = False
        self.warm_ups_ended += 1

    def count_failure(self, user: OpenLoopUser, error: Exception) -> None:
        self.failures.append(f"{type(error).__name__} recorded={user.recorded}")


class Store:
    """A store whose second call times out."""

    wire_ns = 5
    capacity = None

    def __init__(self) -> None:
        self.calls = 0

    def get(self) -> int:
        self.calls += 1
        if self.calls == 2:
            raise CallTimeout("too slow")
        return self.calls


def serve(group: Group) -> CartUser:
    environment = Environment(user_classes=[CartUser])
    open_session(environment)
    user = CartUser(environment)
    user.user_group = group
    [task] = user.tasks
    with pytest.raises(StopUser):
        task(user)  # type: ignore[operator]  # a task may also be a set of tasks
    return user


def test_calls_are_recorded_by_their_intended_start_and_errors_counted() -> None:
    store = Store()
    group = Group([10, 20, 100, 200], lambda user: user.call(store.get))
    serve(group)
    warm_up, measured = group.pair
    assert (len(warm_up.response), len(measured.response)) == (2, 2)
    assert list(measured.wire) == [5, 5]
    assert group.failures == ["CallTimeout recorded=True"]
    assert group.warm_ups_ended == 1


def test_a_bug_of_the_scenario_is_counted_and_the_user_goes_on() -> None:
    def broken(user: OpenLoopUser) -> None:
        raise ValueError(user)

    group = Group([10, 20], broken)
    serve(group)
    assert group.failures == ["ValueError recorded=False"] * 2


def test_capacity_units_are_recorded_where_the_store_reports_them() -> None:
    series = SeriesRecorder("dynamodb", "wire", "cart.get", warm_up=True)
    note_capacity(series, SimpleNamespace(capacity=None))
    note_capacity(series, SimpleNamespace(capacity=SimpleNamespace(rcu=0.5, wcu=0.0)))
    assert series.capacity == CapacityTotals(1, 0.5, 0.0)
