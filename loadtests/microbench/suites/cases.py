"""What is measured: a spec before anything is open, a case once it is, one call per iteration."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadtests.measure.recorder import new_column

if TYPE_CHECKING:
    from loadtests.microbench.suites.bench import Bench

BATCH: Final = 10
UNGUARDED: Final[AbstractContextManager[Any]] = nullcontext()


def accept(answer: Any) -> None:
    """Take any answer for right."""
    del answer


class Call(NamedTuple):
    """One call, made ready: only `function(*args)` is timed.

    `settle` checks the answer afterwards and may raise CallError; `guard` is held meanwhile;
    `store` holds the call's `wire_ns`, where there is one.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    settle: Callable[[Any], None] = accept
    guard: AbstractContextManager[Any] = UNGUARDED
    store: Any = None


def nothing_to_tidy() -> Iterable[Call]:
    """Leave things as they are."""
    return ()


@dataclass(slots=True, eq=False)
class Case:
    """An open spec. `tidy` gives calls that are made after a turn, untimed.

    `next_call` makes the next call ready, untimed; it may have to be awaited for that.
    """

    next_call: Callable[[], Call | Awaitable[Call]]
    awaited: bool = False
    tidy: Callable[[], Iterable[Call]] = nothing_to_tidy


@dataclass(frozen=True, slots=True)
class Spec:
    """One benchmark: a subject (`name`) within a group of subjects that take turns.

    All specs of a `suite` are measured in one pass. `pattern` is set where one call is one access
    pattern through a driver as it comes: these become the run's series, and are judged. The
    suite's plan gives the number of iterations.
    """

    suite: str
    group: str
    name: str
    backend: str
    driver: str
    open: Callable[[Bench], Case] = field(compare=False, repr=False)
    pattern: str = ""

    def __str__(self) -> str:
        return f"{self.group}-{self.name}".replace(" ", "_")

    @property
    def series(self) -> tuple[str, str, str]:
        """Backend, driver and pattern under which it is logged."""
        pattern = self.pattern or f"{self.group}: {self.name}"
        return self.backend, self.driver, pattern.replace("/", "-").replace(",", "")


class SuitePlan(NamedTuple):
    """Iterations of each case of a suite: measured, before that warm-up, and calls in one batch."""

    iterations: int
    warm_up: int
    batch: int = BATCH


@dataclass(slots=True, eq=False)
class CallColumns:
    """What was measured of one case, entry by entry; nanoseconds, `second` of the run.

    `cpu_wait` is the time within the call in which this thread was ready to run and had no CPU.
    `wire` stays empty where wire time is not measured.
    """

    service: array[int] = field(default_factory=new_column)
    wire: array[int] = field(default_factory=new_column)
    cpu: array[int] = field(default_factory=new_column)
    cpu_wait: array[int] = field(default_factory=new_column)
    second: array[int] = field(default_factory=new_column)
    errors: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class BenchmarkSubject:
    """A spec in the course of being measured."""

    spec: Spec
    case: Case
    warm_up: CallColumns = field(default_factory=CallColumns)
    measured: CallColumns = field(default_factory=CallColumns)
