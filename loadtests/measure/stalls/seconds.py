"""A second of a load process with its calls classified, and what stalls took of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow, RunSeconds
from loadtests.measure.results import Count, RehearsalInfo, SeriesInfo, StallInfo
from loadtests.measure.series import SeriesPart
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.record import StallRow
from loadtests.measure.stalls.windows import AFTER_NS, BEFORE_NS, MIN_USED_NS

_REMEMBERED: Final = 10_000  # stalls of a CPU: minutes of the worst machine


@dataclass(frozen=True, slots=True, kw_only=True)
class StallSecond:
    """The stalls of one second of one load process's machine.

    `machine` is the same for all load processes that read the same meters; empty: not known.
    `dead_s` is how much of the second the windows around stalls cover; `unclassified` calls were
    left out because the meters had not reported in time.
    """

    meter: MeterKind
    rows: list[StallRow]
    dead_s: RunSeconds
    unclassified: Count
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedSecond:
    """A second with its calls bucketed and classified; `stalls` is None without meters.

    `scheduled`, `last` and `rehearsal` are those of `messages.SecondEnded`.
    """

    index: int
    row: HealthRow
    parts: list[SeriesPart]
    delays: GeneratorDelays
    stalls: StallSecond | None
    scheduled: Mapping[str, int] = field(default_factory=dict)
    last: bool = False
    rehearsal: RehearsalInfo | None = None


class StallList:
    """One list of stalls per machine: its load processes all report the same ones."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, int], dict[int, None]] = {}

    def add(self, second: ClassifiedSecond) -> ClassifiedSecond:
        """The second with only those stalls that no process of its machine has reported before."""
        stalls = second.stalls
        if stalls is None or not stalls.machine:
            return second
        rows = [row for row in stalls.rows if self._is_new(stalls.machine, row)]
        return replace(second, stalls=replace(stalls, rows=rows))

    def _is_new(self, machine: str, row: StallRow) -> bool:
        listed = self._listed.setdefault((machine, row.cpu), {})
        if row.due_ns in listed:
            return False
        listed[row.due_ns] = None
        if len(listed) > _REMEMBERED:
            del listed[next(iter(listed))]
        return True


@dataclass(slots=True)
class StallTotals:
    """Stalls over the measured seconds of all load processes."""

    info: StallInfo | None = None
    measured_s: float = 0.0
    dead_s: float = 0.0

    def add(self, second: ClassifiedSecond) -> None:
        """Add a measured second."""
        if second.stalls is None:
            return
        stalls, row = second.stalls, second.row
        info = self.info or StallInfo(
            meter=stalls.meter,
            before_ms=BEFORE_NS / 1e6,
            after_ms=AFTER_NS / 1e6,
            min_used_ms=MIN_USED_NS / 1e6,
        )
        self.measured_s += row.length_s
        self.dead_s += stalls.dead_s
        lengths_ms = [stall.length_ms for stall in stalls.rows]
        throttled_ms = info.throttled_ms
        if row.cpu_throttled_ms is not None:
            throttled_ms = (throttled_ms or 0.0) + row.cpu_throttled_ms
        self.info = info.model_copy(
            update={
                # the weaker kind describes a cluster in which both run
                "meter": "ordinary" if stalls.meter == "ordinary" else info.meter,
                "stalls": info.stalls + len(stalls.rows),
                "used": info.used + sum(stall.used for stall in stalls.rows),
                "longest_ms": max([info.longest_ms, *lengths_ms]),
                "total_ms": info.total_ms + sum(lengths_ms),
                "dead_time": min(1.0, self.dead_s / self.measured_s) if self.measured_s else 0.0,
                "unclassified": info.unclassified + stalls.unclassified,
                "throttled_ms": throttled_ms,
            }
        )

    def summary(self, series: list[SeriesInfo]) -> StallInfo | None:
        """For run.json; None where stalls were not measured."""
        if self.info is None:
            return None
        calls = sum(each.count for each in series)
        kept = sum(each.undisturbed.count for each in series if each.undisturbed)
        left_out = 1.0 - kept / calls if calls else 0.0
        return self.info.model_copy(update={"left_out": max(0.0, left_out)})
