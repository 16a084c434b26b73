"""What a user class declares, and how a user serves the arrivals of its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MethodType, SimpleNamespace
from typing import Any

import gevent
import pytest
from greenlet import GreenletExit
from locust.env import Environment
from locust.exception import StopUser

from loadtests.errors import CallTimeout, UsageError
from loadtests.load.declared_stores import StoreNeed, store
from loadtests.load.locust import users
from loadtests.load.locust.session import LoadSession, open_session, session_of
from loadtests.load.locust.users import OpenLoopUser, PatternCall, access_pattern, note_capacity
from loadtests.load.loop.blocking_watch import DECIDING_CALLS, LONG_NS, BlockingWatch
from loadtests.measure.recorder import Recorder, SeriesRecorder
from loadtests.measure.series import CapacityTotals
from loadtests.stores import UNMEASURED_NS
from loadtests.stores.asyncio_calls import CallTimes, as_blocking


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
    [
        ("Cart.Steal", 1.0, "'Cart.Steal' is no name of an access pattern"),
        ("cart steal", 1.0, "no name"),
        ("cart..steal", 1.0, "no name"),
        ("cart.1st", 1.0, "no name"),
        ("", 1.0, "no name"),
        ("a" * 65, 1.0, "no name"),
        ("cart.get", 0.0, "is 0.0"),
        ("cart.get", float("nan"), "is nan"),
        ("cart.get", float("inf"), "is inf"),
    ],
)
def test_names_of_another_form_and_empty_shares_are_refused(
    pattern: str, share: float, message: str
) -> None:
    class WrongUser(OpenLoopUser):
        @access_pattern(pattern, share=share)
        def get(self) -> None: ...

    with pytest.raises(UsageError, match=message):
        WrongUser.check_declarations()


def test_a_mix_that_empties_the_carts_is_refused() -> None:
    with pytest.raises(UsageError, match="removes more cart lines than it adds"):
        ShrinkingUser.check_declarations()
    ShoppingUser.check_declarations()


def test_a_class_that_declares_no_pattern_is_refused() -> None:
    with pytest.raises(UsageError, match="declares no access pattern"):
        OpenLoopUser.check_declarations()


def test_patterns_come_in_the_order_of_the_classes_that_declare_them() -> None:
    class BrowsingUser(OpenLoopUser):
        @access_pattern("catalogue.search", share=1)
        def search(self) -> None: ...

    class BothUser(ShoppingUser, BrowsingUser):
        @access_pattern("order.list", share=1)
        def list_orders(self) -> None: ...

    assert [method.pattern for method in BothUser.pattern_methods] == [
        *("cart.get", "cart.add", "catalogue.search", "order.list"),
    ]


def test_one_pattern_twice_in_a_class_is_refused() -> None:
    """The second method replaced the first, without a word."""

    class TwiceUser(OpenLoopUser):
        @access_pattern("order.list", share=1)
        def new(self) -> None: ...

        @access_pattern("order.list", share=1)
        def old(self) -> None: ...

    with pytest.raises(UsageError, match=r"TwiceUser declares order.list twice: new and old"):
        TwiceUser.check_declarations()


# --- stores


class SearchUser(OpenLoopUser):
    books: Any = store(lambda endpoints: None, backend="postgres")
    carts: Any = store()

    @access_pattern("catalogue.search", share=2)
    def search(self) -> None:
        self.call(self.books.by_title, self.random.choice(["a"]))


def test_a_class_describes_its_stores_as_plain_data() -> None:
    described = SearchUser.described()
    assert described.shares == {"catalogue.search": 2}
    assert set(described.stores) == {
        StoreNeed("books", "postgres", has_factory=True),
        StoreNeed("carts"),
    }
    SearchUser.check_declarations()


def test_a_store_that_is_used_and_not_declared_is_refused_before_the_run() -> None:
    class ForgetfulUser(OpenLoopUser):
        @access_pattern("cart.get", share=1)
        def get(self) -> None:
            self.call(self.carts.get, "u")

    with pytest.raises(UsageError, match=r"ForgetfulUser uses self\.carts and does not") as caught:
        ForgetfulUser.check_declarations()
    assert "carts: CartStore = store()" in caught.value.hint


def test_a_store_that_was_not_seen_to_be_undeclared_ends_the_run_at_the_first_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def indirect(user: OpenLoopUser) -> None:
        user.call(user.sessions.get, "s")

    session = aborted(Group([10], indirect))
    assert session.exit_code == 2
    assert "Error: CartUser uses self.sessions and does not declare it." in capsys.readouterr().err


def test_a_store_may_not_take_a_name_of_the_user() -> None:
    class TakenUser(SearchUser):
        series: Any = store()

    with pytest.raises(UsageError, match="declares a store series, which is a name of"):
        TakenUser.check_declarations()


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
    hand_overs: dict[int, int] = field(default_factory=dict)
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

    def add_hand_over(self, intended_ns: int, hand_over_ns: int) -> None:
        self.hand_overs[intended_ns] = hand_over_ns

    def count_failure(self, user: OpenLoopUser, error: Exception) -> None:
        self.failures.append(f"{type(error).__name__} recorded={user.recorded}")


class Refused(Exception):
    """What a client library raises."""


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


def serve(group: Group, watch: BlockingWatch | None = None) -> CartUser:
    environment = Environment(user_classes=[CartUser])
    open_session(environment)
    user = CartUser(environment)
    user.user_group = group
    user.blocking_watch = watch
    [task] = user.tasks
    with pytest.raises(StopUser):
        task(user)  # type: ignore[operator]  # a task may also be a set of tasks
    return user


def aborted(group: Group, watch: BlockingWatch | None = None) -> LoadSession:
    """The session of a user whose arrivals end the run."""
    environment = Environment(user_classes=[CartUser])
    session = open_session(environment)
    user = CartUser(environment)
    user.user_group = group
    user.blocking_watch = watch
    [task] = user.tasks
    with pytest.raises(GreenletExit):
        task(user)  # type: ignore[operator]
    return session


def test_calls_are_recorded_by_their_intended_start_and_errors_counted() -> None:
    store = Store()
    group = Group([10, 20, 100, 200], lambda user: user.call(store.get))
    serve(group)
    warm_up, measured = group.pair
    assert (len(warm_up.response), len(measured.response)) == (2, 2)
    assert list(measured.wire) == [5, 5]
    assert group.failures == ["CallTimeout recorded=True"]
    assert group.warm_ups_ended == 1


def test_any_callable_may_be_called_and_any_error_is_a_failed_call() -> None:
    """A team's own client has no wire time and no CallError."""

    def refuse() -> None:
        raise Refused("no such index")

    group = Group([10, 100], lambda user: user.call(refuse))
    serve(group)
    warm_up, measured = group.pair
    assert (list(warm_up.wire), list(measured.wire)) == ([UNMEASURED_NS], [UNMEASURED_NS])
    assert len(measured.service) == 1
    assert group.failures == ["Refused recorded=True"] * 2


def test_a_wire_time_that_is_no_integer_leaves_no_half_call() -> None:
    store = Store()
    store.wire_ns = 0.5  # type: ignore[assignment]
    group = Group([100], lambda user: user.call(store.get))
    serve(group)
    _, measured = group.pair
    columns = (measured.intended, measured.response, measured.service, measured.wire)
    assert [len(column) for column in columns] == [0, 0, 0, 0]
    assert group.failures == ["TypeError recorded=False"]


def test_a_method_that_makes_no_call_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """It was an arrival without a call, and the run was INVALID without a word of the method."""

    def forgetful(user: OpenLoopUser) -> None: ...

    session = aborted(Group([10, 20], forgetful))
    assert session.exit_code == 2
    assert "Error: CartUser.forgetful made no call." in capsys.readouterr().err


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


# --- other event loops, and clients that block


class Awaited:
    """A store for asyncio."""

    wire_ns = 7

    async def get(self) -> int:
        return 3

    async def refuse(self) -> None:
        raise Refused


@pytest.mark.parametrize("method", ["get", "refuse"])
def test_a_call_of_an_asyncio_store_is_timed_in_its_own_loop(method: str) -> None:
    store: Any = as_blocking(Awaited())
    group = Group([10], lambda user: user.call(getattr(store, method)))
    serve(group)
    [recorded, _] = group.pair
    times: CallTimes = store.call_times
    assert list(recorded.service) == [times.done_ns - times.began_ns]
    assert list(recorded.response) == [times.done_ns - 10]
    assert list(recorded.wire) == [7]
    assert 0 < group.hand_overs[10] <= times.began_ns
    assert group.failures == (["Refused recorded=True"] if method == "refuse" else [])


class Clock:
    """A clock for the calls: a call takes as long as it says."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_a_client_that_blocks_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(users, "_clock", clock)

    class Blocking:
        def find(self) -> None:
            clock.now_ns += LONG_NS

    group = Group([0] * 2 * DECIDING_CALLS, lambda user: user.call(Blocking().find))
    assert aborted(group, BlockingWatch()).exit_code == 2
    assert len(group.arrivals) == DECIDING_CALLS
    assert "Blocking.find blocks gevent's event loop" in capsys.readouterr().err


def test_a_client_that_waits_in_the_event_loop_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(users, "_clock", clock)

    class Waiting:
        def find(self) -> None:
            clock.now_ns += LONG_NS
            gevent.sleep(0.0001)

    group = Group([0] * 2 * DECIDING_CALLS, lambda user: user.call(Waiting().find))
    serve(group, BlockingWatch())
    assert not group.arrivals


def test_a_coroutine_that_blocks_its_loop_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = CallTimes(1, 1 + LONG_NS, 0)
    store = SimpleNamespace(call_times=times, wire_ns=1)
    method = MethodType(lambda _: None, store)
    group = Group([0] * 2 * DECIDING_CALLS, lambda user: user.call(method))
    assert aborted(group, BlockingWatch()).exit_code == 2
    assert "blocks asyncio's event loop" in capsys.readouterr().err


def test_a_coroutine_that_nobody_awaits_ends_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    group = Group([10, 20], lambda user: user.call(lambda: Awaited().get()))
    assert aborted(group, BlockingWatch()).exit_code == 2
    assert "returned a coroutine" in capsys.readouterr().err
