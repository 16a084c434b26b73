"""The stalls of a run as the scribe sees them: read, kept for the run folder, used for exclusion.

A call can be classified once all meters have reported past the end of its window. So the scribe
keeps a second's columns until `settled` says so, for about 30 ms.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final, Protocol, TextIO

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from loadtests.errors import ResultsError
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.windows import AFTER_NS, BEFORE_NS, DisturbedTime, Stall
from loadtests.measure.stored_files import open_stored

_KEPT_NS: Final = 30_000_000_000  # older spans are forgotten: no call is classified so late


class Meters(Protocol):
    """The meters of a machine (`StallMonitor`)."""

    @property
    def kind(self) -> MeterKind | None:
        """The kind that runs; None while that is not known."""

    @property
    def alive(self) -> bool:
        """Whether every meter still runs."""

    @property
    def known_until_ns(self) -> int:
        """All stalls before this time have been read; 0 at first."""

    def start(self) -> None:
        """Start the meters, once."""

    def read(self) -> list[Stall]:
        """The stalls reported since the last call, without waiting."""


@dataclass(frozen=True, slots=True)
class StallRow:
    """A row of stalls.csv: seconds since the run's start, milliseconds.

    `due_ns` is the same moment as `start_s`, by CLOCK_MONOTONIC of the machine (0: not known).
    `used` says whether calls near it are left out: short stalls are not, and neither are stalls
    that a meter saw while the control group was throttled.
    """

    worker: str
    cpu: int
    start_s: Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
    length_ms: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
    meter: MeterKind
    used: bool
    due_ns: int = 0


class StallLog:
    """stalls.csv."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._writer = csv.writer(out)
        self._writer.writerow([field.name for field in fields(StallRow)])
        out.flush()

    def write(self, rows: list[StallRow]) -> None:
        """Add rows."""
        for row in rows:
            self._writer.writerow(
                [row.worker, row.cpu, f"{row.start_s:.6f}", f"{row.length_ms:.3f}", row.meter,
                 int(row.used), row.due_ns]
            )  # fmt: skip
        self._out.flush()


_ROW: Final = TypeAdapter(StallRow)
_LARGEST_BYTES: Final = 1 << 26


def read_stalls(path: Path) -> list[StallRow]:
    """The rows of a stalls.csv, in its order; none where there is no such file.

    A last row without its line end belongs to a run that was killed, and is left out. Raises
    ResultsError for any other row that is not a stall.
    """
    try:
        with open_stored(path, _LARGEST_BYTES) as file:
            text = file.read().decode()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {error}.") from None
    complete = text[: text.rfind("\n") + 1]
    rows: list[StallRow] = []
    names: list[str] = []
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            values = next(csv.reader([line]), [])
            if number == 1:
                names = values
            else:
                rows.append(_ROW.validate_python(dict(zip(names, values, strict=True))))
        except (csv.Error, ValidationError, ValueError):
            raise ResultsError(
                f"{path}, line {number} is not a stall of the machine.",
                hint="The file was changed or damaged; restore it, or remove it to go without.",
            ) from None
    return rows


class ThrottleWatch:
    """Whether the control group was throttled since the last call."""

    def __init__(self, throttled_us: Callable[[], float | None]) -> None:
        self._throttled_us = throttled_us
        self._before_us = throttled_us()

    def __call__(self) -> bool:
        """Read the counter again."""
        before_us, self._before_us = self._before_us, self._throttled_us()
        return None not in (before_us, self._before_us) and self._before_us != before_us


class StallRecord:
    """What the meters have reported, and which calls are disturbed by it.

    `throttled` says whether the control group was throttled since it was last asked. An ordinary
    meter cannot tell that from a stall, and what a limit of the user's own does is not excused.
    """

    def __init__(self, meters: Meters, throttled: Callable[[], bool] = lambda: False) -> None:
        self._meters = meters
        self._throttled = throttled
        self._disturbed = DisturbedTime()
        self._known_from_ns = 0
        self._unread: list[tuple[Stall, bool]] = []

    @property
    def kind(self) -> MeterKind | None:
        """The kind of meter; None where stalls are not measured."""
        return self._meters.kind

    @property
    def starting(self) -> bool:
        """Whether the meters run and have not reported yet."""
        return self.kind is None and self._meters.alive

    def start(self) -> None:
        """Start the meters, if they do not run yet."""
        self._meters.start()

    def poll(self) -> None:
        """Read what the meters have reported, without waiting."""
        throttled = self._throttled()
        stalls = self._meters.read()
        if not self._known_from_ns:
            self._known_from_ns = self._meters.known_until_ns
        excused = not (throttled and self.kind == "ordinary")
        self._unread += [(stall, excused and self._disturbed.add(stall)) for stall in stalls]

    def settled(self, until_ns: int) -> bool:
        """Whether every intended start before `until_ns` can be classified."""
        return self._known_from_ns > 0 and self._meters.known_until_ns >= until_ns + AFTER_NS

    @property
    def alive(self) -> bool:
        """Whether later stalls will be reported."""
        return self._meters.alive

    def touches(self, intended_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether each intended start is disturbed, or lies before the meters' first report."""
        unknown = intended_ns < self._known_from_ns + BEFORE_NS
        return np.asarray(unknown | self._disturbed.touches(intended_ns), np.bool_)

    def dead_ns(self, since_ns: int, until_ns: int) -> int:
        """How much of [since, until) is within a window around a used stall."""
        return self._disturbed.length_ns(since_ns, until_ns)

    def take(self, until_ns: int) -> list[tuple[Stall, bool]]:
        """The stalls that began before `until_ns` and were not taken yet, and whether each counts.

        Spans far in the past are forgotten.
        """
        taken = [entry for entry in self._unread if entry[0].due_ns < until_ns]
        self._unread = [entry for entry in self._unread if entry[0].due_ns >= until_ns]
        self._disturbed.forget_before(until_ns - _KEPT_NS)
        return taken
