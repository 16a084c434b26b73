"""What is measured: a spec before anything is open, a case once it is, one call per iteration."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from loadtests.measure.recorder import new_column
from loadtests.microbench.suites.bench import Bench

UNGUARDED: Final[AbstractContextManager[object]] = nullcontext()


class TimesWire(Protocol):
    """A store that measures the wire time of its last call."""

    wire_ns: int


def accept(answer: object) -> None:
    """Take any answer as correct."""
    del answer


class Call(NamedTuple):
    """One call, prepared: only `function(*args)` is timed.

    `settle` checks the answer afterwards (of whatever type the function returns) and may raise
    CallError. `guard` is entered during the call. `store` has the call's `wire_ns`, if any.
    """

    function: Callable[..., object]
    args: tuple[object, ...] = ()
    settle: Callable[[Any], object] = accept
    guard: AbstractContextManager[object] = UNGUARDED
    store: TimesWire | None = None


def nothing_to_tidy() -> Iterable[Call]:
    """Leave everything as it is."""
    return ()


@dataclass(slots=True, eq=False)
class Case:
    """An open spec.

    `next_call` prepares the next call, untimed; its result is awaited where it can be. `tidy` gives
    calls that are made after each batch, untimed.
    """

    next_call: Callable[[], Call | Awaitable[Call]]
    awaited: bool = False
    tidy: Callable[[], Iterable[Call]] = nothing_to_tidy


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One benchmark: a subject (`name`) within a group of subjects that alternate.

    All specs of a `suite` are measured in one pass. `pattern` is set where a call is one access
    pattern through an unmodified driver: these become the run's series, and are judged. The suite's
    plan gives the number of iterations.
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


@dataclass(slots=True, eq=False)
class CallColumns:
    """What was measured of one case, one entry per call; nanoseconds, and `second` of the run.

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
    """A spec with its open case and what was measured of it."""

    spec: Spec
    case: Case
    warm_up: CallColumns = field(default_factory=CallColumns)
    measured: CallColumns = field(default_factory=CallColumns)
