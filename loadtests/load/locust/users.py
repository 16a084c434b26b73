"""Locust users whose arrivals are open loop: copy `scenarios/cart.py` to make your own.

A user class declares what share of its arrivals each access pattern gets. A user takes the next
due arrival, draws a pattern, and makes exactly one `self.call(...)`; only that call is timed.
What precedes it (choosing keys) and follows it (checking the answer) is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from locust import User
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from loadtests.config import Config
from loadtests.errors import CallError, UsageError
from loadtests.load.schedule.arrivals import Segment, constant_rate
from loadtests.measure.recorder import SeriesRecorder
from loadtests.patterns import PATTERNS

if TYPE_CHECKING:
    from loadtests.load.locust.assignment import UserGroup
    from loadtests.load.workload import Carts, Sessions
    from loadtests.stores import CartStore, SessionStore

Result = TypeVar("Result")
_clock = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class Declared:
    """A method of a user class that carries out one access pattern."""

    pattern: str
    share: float
    method: Callable[[Any], None]


def access_pattern(
    pattern: str, *, share: float
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Mark a method as an access pattern's call, with its share of the class's arrivals.

    Raises UsageError for a name that is not one of the nine, or a share that is not positive.
    """
    if pattern not in PATTERNS:
        raise UsageError(
            f"{pattern!r} is no access pattern.", hint=f"Known: {', '.join(PATTERNS)}."
        )
    if not share > 0:
        raise UsageError(f"The share of {pattern} must be positive, not {share}.")

    def mark(method: Callable[[Any], None]) -> Callable[[Any], None]:
        method.declared = Declared(pattern, share, method)  # type: ignore[attr-defined]
        return method

    return mark


class OpenLoopUser(User):
    """A user that waits for arrivals instead of making its own pace.

    Subclasses mark methods with `access_pattern`. `carts` and `sessions` are the user's stores on
    its backend, `cart_work` and `session_work` choose keys. `host` is unused.
    """

    abstract = True
    host = ""
    declared: ClassVar[tuple[Declared, ...]] = ()

    user_group: UserGroup
    carts: CartStore
    sessions: SessionStore
    cart_work: Carts
    session_work: Sessions
    intended_ns: int = 0
    series: SeriesRecorder
    recorded: bool = False
    warming_up: bool = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[str, Declared] = {}
        for parent in reversed(cls.__mro__):
            for value in vars(parent).values():
                declared = getattr(value, "declared", None)
                if isinstance(declared, Declared):
                    found[declared.pattern] = declared
        cls.declared = tuple(found.values())
        cls.tasks = [_serve]

    @classmethod
    def profile(cls, config: Config, backend: str) -> tuple[Segment, ...]:
        """The rate of arrivals on a backend over the run; a class's weight scales it."""
        del backend
        return constant_rate(config.load.rate)

    def on_start(self) -> None:
        """Take a place on a backend."""
        if self.environment.controller.refused:
            raise StopUser
        self.environment.user_assignment.join(self)

    def on_stop(self) -> None:
        """Leave it and close the stores."""
        if not self.environment.controller.refused:
            self.environment.user_assignment.leave(self)

    def now(self) -> datetime:
        """The wall-clock time, for stored items."""
        return datetime.now(UTC)

    def call(self, method: Callable[..., Result], *arguments: Any) -> Result:
        """Make the timed call, not before its time; raises what the store raises, recorded."""
        began_ns = _clock()
        while began_ns < self.intended_ns:  # handed over ahead: for a moment at most
            began_ns = _clock()
        try:
            result = method(*arguments)
        except CallError:
            done_ns = _clock()
            self._record(began_ns, done_ns, method.__self__)  # type: ignore[attr-defined]
            raise
        done_ns = _clock()
        self._record(began_ns, done_ns, method.__self__)  # type: ignore[attr-defined]
        return result

    def _record(self, began_ns: int, done_ns: int, store: Any) -> None:
        series = self.series
        series.record(self.intended_ns, began_ns, done_ns, store.wire_ns)
        self.recorded = True
        if series.warm_up:
            note_capacity(series, store)


def note_capacity(series: SeriesRecorder, store: Any) -> None:
    """Warm-up calls also ask DynamoDB what they cost; measured calls are as lean as the app's."""
    capacity = getattr(store, "capacity", None)
    if capacity is not None:
        series.record_capacity(capacity.rcu, capacity.wcu)


def _serve(user: OpenLoopUser) -> None:
    """A user's life: Locust's one task, which never returns of itself."""
    group = user.user_group
    run = group.run
    take, draw = group.dispatcher.take, group.draw
    while True:
        user._state = LOCUST_STATE_WAITING  # so that Locust may end it here
        user.intended_ns = intended_ns = take()
        user._state = LOCUST_STATE_RUNNING
        method, pair = draw()
        measured = intended_ns >= run.measure_from_ns
        if measured and user.warming_up:
            group.end_warm_up(user)
        user.series = pair[measured]
        user.recorded = False
        try:
            method(user)
        except CallError as error:
            group.failed(user, error)
        except Exception as error:  # noqa: BLE001 (a scenario's own bug must not end the run)
            group.failed(user, error)
        user.intended_ns = 0
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
