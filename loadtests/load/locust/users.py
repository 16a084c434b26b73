"""Locust users whose arrivals are open loop: copy `scenarios/cart.py` to write your own.

A user class declares the share of its arrivals that each access pattern gets. A user takes the next
due arrival, draws a pattern, and makes exactly one `self.call(...)`. Only that call is timed: not
the choice of keys before it, nor the check of the response after it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from random import Random
from typing import Any, ClassVar, Final, Protocol, TypeGuard, TypeVar

from greenlet import GreenletExit
from locust import User
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from loadtests.config import Config
from loadtests.errors import LoadtestsError, UsageError
from loadtests.load.declared_stores import (
    DeclaredStore,
    ScenarioClass,
    StoreNeed,
    UserStores,
    called_methods,
    stores_among,
    undeclared,
)
from loadtests.load.locust.faults import as_usage_error
from loadtests.load.locust.session import exit_on_error, session_of
from loadtests.load.loop.blocking_watch import LONG_NS, BlockingWatch, refuse_coroutine
from loadtests.load.schedule.arrivals import Segment, constant_rate
from loadtests.load.workload import Carts, Sessions, refuse_emptying
from loadtests.measure.recorder import SeriesPair, SeriesRecorder
from loadtests.measure.results import StepInfo
from loadtests.patterns import PATTERN_RULE, is_pattern_name
from loadtests.stores import UNMEASURED_NS
from loadtests.stores.asyncio_calls import CallTimes
from loadtests.stores.factories import DRIVER_STORES
from loadtests.targets.endpoints import Endpoints

_log: Final = logging.getLogger(__name__)
Result = TypeVar("Result")
PatternCall = tuple[Callable[[Any], None], SeriesPair]  # a method, and what records its call
_clock = time.monotonic_ns


class MeasuredPart(Protocol):
    """Calls with an intended start from `measure_from_ns` on are measured, earlier ones warm-up."""

    measure_from_ns: int


class ServingGroup(Protocol):
    """What a user needs of its group to serve arrivals (`assignment.UserGroup`)."""

    @property
    def run(self) -> MeasuredPart:
        """Where the warm-up ends, known once the run has begun."""

    @property
    def take(self) -> Callable[[], int]:
        """Waits for the next arrival and returns its intended start, ns."""

    def draw(self) -> PatternCall:
        """The next call's method and its (warm-up, measured) series."""

    def end_warm_up(self, user: OpenLoopUser) -> None:
        """The user's next call is its first measured one."""

    def add_hand_over(self, intended_ns: int, hand_over_ns: int) -> None:
        """The call of an arrival began in another thread, so much later."""

    def count_failure(self, user: OpenLoopUser, error: Exception) -> None:
        """The user's method raised an error."""


@dataclass(frozen=True, slots=True)
class PatternMethod:
    """A method of a user class that makes the call of one access pattern."""

    pattern: str
    share: float
    method: Callable[[Any], None]


def access_pattern(
    pattern: str, *, share: float
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Mark a method as the call of an access pattern, with its share of the class's arrivals.

    `check_declarations` checks both: an error while Locust imports the scenario would be a trace,
    and the exit code of a FAIL.
    """

    def mark(method: Callable[[Any], None]) -> Callable[[Any], None]:
        method.pattern_method = PatternMethod(pattern, share, method)  # type: ignore[attr-defined]
        return method

    return mark


def _marked(cls: type) -> Iterator[PatternMethod]:
    """The marked methods of a class itself, without those of its parents."""
    for value in vars(cls).values():
        method = getattr(value, "pattern_method", None)
        if isinstance(method, PatternMethod):
            yield method


def ending_the_run(action: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap what Locust calls on a user: its first error ends the run, with one message.

    Locust logs a stack trace for each user and goes on with those that are left.
    """

    @wraps(action)
    def guarded(user: Any) -> None:
        try:
            action(user)
        except (StopUser, StopTest):
            raise
        except Exception as error:  # noqa: BLE001 (also a scenario's own bug)
            where = f"{type(user).__name__}.{action.__name__}"
            is_first = session_of(user.environment).abort(as_usage_error(error, where))
            if is_first and not isinstance(error, LoadtestsError):
                _log.error("%s failed", where, exc_info=error)
            raise GreenletExit from None  # for this, Locust logs no stack trace

    return guarded


class OpenLoopUser(User):
    """A user that waits for scheduled arrivals instead of pacing itself.

    Subclasses mark methods with `access_pattern` and declare stores with `store`: each user has its
    own. `random` is seeded; `cart_work` and `session_work` choose CloudShelf's keys. `host` is
    unused.
    """

    abstract = True
    host = ""
    pattern_methods: ClassVar[tuple[PatternMethod, ...]] = ()
    declared_stores: ClassVar[Mapping[str, DeclaredStore]] = {}
    own_stores: ClassVar[Mapping[str, DeclaredStore]] = {}  # without those of its parents

    user_group: ServingGroup | None = None
    user_stores: UserStores | None = None
    carts: Any
    sessions: Any
    cart_work: Carts
    session_work: Sessions
    random: Random
    intended_ns: int = 0
    series: SeriesRecorder
    recorded: bool = False
    warming_up: bool = True
    blocking_watch: BlockingWatch | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.own_stores = stores_among(vars(cls))
        for name in cls.own_stores:
            delattr(cls, name)  # an attribute of the class would slow down that of the user
        methods: dict[str, PatternMethod] = {}
        stores: dict[str, DeclaredStore] = {}
        for parent in reversed(cls.__mro__):
            methods |= {method.pattern: method for method in _marked(parent)}
            stores |= stores_among(vars(parent)) | vars(parent).get("own_stores", {})
        inherited = [
            each.pattern for base in cls.__bases__ for each in getattr(base, "pattern_methods", ())
        ]
        cls.pattern_methods = tuple(methods[name] for name in dict.fromkeys([*inherited, *methods]))
        cls.declared_stores = stores
        cls.tasks = [_serve]
        for hook in ("on_start", "on_stop"):
            if hook in vars(cls):
                setattr(cls, hook, ending_the_run(vars(cls)[hook]))

    @classmethod
    def profile(cls, config: Config, backend: str) -> tuple[Segment, ...]:
        """The rate of arrivals on a backend over the run; a class's weight scales it."""
        del backend
        return constant_rate(config.load.rate)

    @classmethod
    def steps(cls, config: Config) -> list[StepInfo]:
        """The steps of a capacity run; none for a run at one rate."""
        del config
        return []

    @classmethod
    def prepare(cls, endpoints: Endpoints) -> None:
        """Create what the class's calls need, such as a table: once per run, after seeding.

        What is there already must be kept or replaced: a run may follow one that was killed.
        """
        del endpoints

    @classmethod
    def clean_up(cls, endpoints: Endpoints) -> None:
        """Remove what `prepare` created, once at the end; not called for embedded databases."""
        del endpoints

    @classmethod
    def described(cls) -> ScenarioClass:
        """What other processes need to know of the class."""
        return ScenarioClass(
            cls.__name__,
            {each.pattern: float(cls.weight) * each.share for each in cls.pattern_methods},
            tuple(
                StoreNeed(name, each.backend, each.factory is not None)
                for name, each in cls.declared_stores.items()
            ),
        )

    @classmethod
    def check_declarations(cls) -> None:
        """Refuse patterns and stores that no run can be made with. Raises UsageError."""
        if not cls.pattern_methods:
            raise UsageError(
                f"{cls.__name__} declares no access pattern.",
                hint="Mark its methods with @access_pattern(…, share=…).",
            )
        for each in cls.pattern_methods:
            _check_pattern(each)
        for parent in cls.__mro__:
            _refuse_two_of_a_pattern(parent)
        refuse_emptying(cls.__name__, {each.pattern: each.share for each in cls.pattern_methods})
        taken = {*OpenLoopUser.__annotations__, *dir(OpenLoopUser)} - {*DRIVER_STORES}
        stores = cls.declared_stores
        for name in stores:
            if name in taken:
                raise UsageError(
                    f"{cls.__name__} declares a store {name}, which is a name of OpenLoopUser.",
                    hint="Give the store another name.",
                )
        called = {name for each in cls.pattern_methods for name in called_methods(each.method)}
        for name in DRIVER_STORES:
            if name in called and name not in stores and not hasattr(cls, name):
                raise undeclared(cls.__name__, name)

    def __init__(self, environment: Environment) -> None:
        exit_on_error(session_of)(environment)
        super().__init__(environment)

    @ending_the_run
    def on_start(self) -> None:
        """Join a group: a backend, a dispatcher, stores and keys."""
        session = session_of(self.environment)
        if session.refusal or session.users is None:
            raise StopUser
        session.users.join(self)

    @ending_the_run
    def on_stop(self) -> None:
        """Leave the group and close the stores."""
        users = session_of(self.environment).users
        if users is not None:
            users.leave(self)

    def now(self) -> datetime:
        """The wall-clock time, for stored items."""
        return datetime.now(UTC)

    def call(self, method: Callable[..., Result], *arguments: Any) -> Result:
        """Make the timed call, never before its intended start.

        Whatever it raises is a failed call, which is recorded, too. The wire time is that of the
        method's object, `wire_ns`, where it has one.
        """
        watch = self.blocking_watch
        began_ns = _clock()
        while began_ns < self.intended_ns:  # dispatched ahead of its time, by 0.12 ms at most
            began_ns = _clock()
        polls = watch.polls() if watch else 0
        try:
            result = method(*arguments)
        except Exception:
            self._record(began_ns, _clock(), polls, method)
            raise
        done_ns = _clock()
        self._record(began_ns, done_ns, polls, method)
        if watch:
            refuse_coroutine(method, result)
        return result

    def _record(self, began_ns: int, done_ns: int, polls: int, method: Any) -> None:
        store, series, watch = getattr(method, "__self__", None), self.series, self.blocking_watch
        times: CallTimes | None = getattr(store, "call_times", None)
        if times is not None and self.user_group:  # made in the loop of another thread
            self.user_group.add_hand_over(self.intended_ns, times.began_ns - began_ns)
            began_ns, done_ns = times.began_ns, times.done_ns
        series.record(self.intended_ns, began_ns, done_ns, getattr(store, "wire_ns", UNMEASURED_NS))
        self.recorded = True
        if series.warm_up:
            note_capacity(series, store)
        service_ns = done_ns - began_ns
        if watch and service_ns >= LONG_NS:  # asked here, too: most calls need not ask the watch
            if times is None:
                watch.check(method, service_ns, watch.polls() - polls, "gevent")
            else:
                watch.check(method, service_ns, times.polls, "asyncio")


def _check_pattern(marked: PatternMethod) -> None:
    """Raise UsageError for a name without the form of one, or a share that is not positive."""
    pattern, share = marked.pattern, marked.share
    if not isinstance(pattern, str) or not is_pattern_name(pattern):
        raise UsageError(
            f"{pattern!r} is no name of an access pattern.", hint=f"Use {PATTERN_RULE}."
        )
    if not isinstance(share, int | float) or not 0 < share < math.inf:
        raise UsageError(
            f"The share of {pattern} is {share!r}.", hint="Give it a number greater than 0."
        )


def _refuse_two_of_a_pattern(cls: type) -> None:
    """Raise UsageError where one class marks two methods with the same pattern."""
    marked: dict[str, PatternMethod] = {}
    for method in _marked(cls):
        if (other := marked.get(method.pattern, method)) is not method:
            raise UsageError(
                f"{cls.__name__} declares {method.pattern} twice: {other.method.__name__} and"
                f" {method.method.__name__}.",
                hint="Give each method an access pattern of its own.",
            )
        marked[method.pattern] = method


def note_capacity(series: SeriesRecorder, store: Any) -> None:
    """Record the capacity units of a warm-up call.

    Measured calls do not ask for them, as the application's own calls do not.
    """
    capacity = getattr(store, "capacity", None)
    if capacity is not None:
        series.record_capacity(capacity.rcu, capacity.wcu)


def _is_undeclared_store(error: Exception, user: OpenLoopUser) -> TypeGuard[AttributeError]:
    """Whether a method has failed because it uses a store that its class does not declare."""
    return isinstance(error, AttributeError) and error.obj is user and error.name in DRIVER_STORES


@ending_the_run
def _serve(user: OpenLoopUser) -> None:
    """Locust's only task of a user: serve arrivals until Locust ends the user."""
    group = user.user_group
    if group is None:
        raise StopUser
    run, take, draw = group.run, group.take, group.draw
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
            if not user.recorded:
                raise UsageError(  # noqa: TRY301 (ends the run, as the next line says)
                    f"{type(user).__name__}.{method.__name__} made no call.",
                    hint="Each access pattern makes one: self.call(self.carts.get, …).",
                )
        except UsageError:
            raise  # a mistake of the scenario, which every call would meet
        except Exception as error:
            if _is_undeclared_store(error, user):
                raise undeclared(type(user).__name__, str(error.name)) from error
            group.count_failure(user, error)  # a scenario's own bug must not end the run
        user.intended_ns = 0
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
