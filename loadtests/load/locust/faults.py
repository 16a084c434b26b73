"""Errors of a scenario's own code: the first of each kind with its trace, and when they end a run.

A call that the database refuses is a `CallError` and part of the measurement. Anything else that a
scenario raises is shown with the place where it arose. When every call of an access pattern fails
with the same programming error, nothing was measured, and the run ends with exit code 2.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from loadtests.errors import LoadtestsError, UsageError
from loadtests.measure.messages import LocustEntry
from loadtests.measure.results import ScenarioError

MIN_CALLS: Final = 20  # before one pattern's errors end a run
MAX_KINDS: Final = 20
_MAX_TRACE: Final = 4_000
_PROGRAMMING_ERRORS: Final = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError,
    NotImplementedError, RecursionError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
_LIBRARIES: Final = tuple(
    {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib")}
)
_PACKAGE: Final = str(Path(__file__).parents[2])


def describe_fault(error: Exception, pattern: str, backend: str) -> ScenarioError:
    """What a scenario's method raised: its kind, message, place and trace."""
    text = "".join(traceback.format_exception(error))
    return ScenarioError(
        pattern=pattern,
        backend=backend,
        name=type(error).__name__,
        message=" ".join(str(error).split())[:500],
        place=place_of(error),
        trace=text if len(text) <= _MAX_TRACE else "…\n" + text[-_MAX_TRACE:],
        is_programming_error=isinstance(error, _PROGRAMMING_ERRORS),
    )


def as_usage_error(error: Exception, where: str) -> LoadtestsError:
    """The error to end with, when the scenario's own code raised one in `where`."""
    if isinstance(error, LoadtestsError):
        return error
    message = " ".join(str(error).split())[:500]
    return UsageError(
        f"{where} failed with {type(error).__name__}" + (f": {message}." if message else "."),
        hint=f"Correct it: {place_of(error)}",
    )


def place_of(error: BaseException) -> str:
    """The innermost line of the user's own code: file, line, function and text."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((_PACKAGE, *_LIBRARIES))]
    if not (own or frames):
        return ""
    frame = (own or frames)[-1]
    code = f": `{frame.line}`" if frame.line else ""
    return f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}{code}"


class FaultWatch:
    """Counts calls and errors by access pattern; knows the first error of each kind."""

    def __init__(self) -> None:
        self.faults: list[ScenarioError] = []
        self._by_kind: dict[tuple[str, str, str], ScenarioError] = {}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._errors: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    @property
    def calls(self) -> int:
        """All calls so far, of the warm-up too."""
        return self._calls.total()

    def note(self, fault: ScenarioError) -> bool:
        """Keep a fault; False when its kind is known, or too many kinds are."""
        kind = (fault.pattern, fault.backend, fault.name)
        if kind in self._by_kind or len(self.faults) >= MAX_KINDS:
            return False
        self._by_kind[kind] = fault
        self.faults.append(fault)
        return True

    def count(self, entries: Iterable[LocustEntry]) -> None:
        """Count the calls of one second."""
        for entry in entries:
            series = entry["pattern"], entry["backend"]
            self._calls[series] += entry["count"]
            self._errors[series].update(entry["errors"])

    def verdict(self, *, min_calls: int = MIN_CALLS) -> UsageError | None:
        """The error to end with, when all calls of a pattern failed by one programming error."""
        for (pattern, backend, name), fault in self._by_kind.items():
            calls = self._calls[pattern, backend]
            failed = self._errors[pattern, backend][name]
            if fault.is_programming_error and min_calls <= calls <= failed:
                return scenario_error(
                    f"All {calls} calls of {pattern} on {backend} failed", fault, name=name
                )
        return None

    def final_verdict(self) -> UsageError | None:
        """The same at the end of a run: all its calls failed, however few."""
        names = {fault.name for fault in self.faults if fault.is_programming_error}
        calls = self.calls
        for name in names:
            if 0 < calls <= sum(errors[name] for errors in self._errors.values()):
                fault = next(each for each in self.faults if each.name == name)
                return scenario_error(f"All {calls} calls of the run failed", fault, name=name)
        return None


def scenario_error(what: str, fault: ScenarioError, *, name: str) -> UsageError:
    """The error that a defect of the scenario ends a run with."""
    message = f": {fault.message}" if fault.message else ""
    return UsageError(
        f"{what} with {name}{message}.",
        hint=f"Correct the scenario: {fault.place}" if fault.place else "Correct the scenario.",
    )
