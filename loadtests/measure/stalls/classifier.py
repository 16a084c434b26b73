"""The seconds of a scribe's own load process, each given out once its calls can be classified."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.measure.health.generator_delay import bucket_delays, delay_figures
from loadtests.measure.health.probes import HealthRow, HostFigures, HostProbe
from loadtests.measure.messages import RecordedCalls, SecondEnded
from loadtests.measure.series import SecondColumns, SeriesPart, Touches
from loadtests.measure.stalls.record import StallRecord, StallRow
from loadtests.measure.stalls.seconds import ClassifiedSecond, StallSecond
from loadtests.measure.stalls.windows import Stall

# Meters that say nothing for this long will not be waited for: the calls count as disturbed.
LATEST_NS: Final = 2_000_000_000
# While processes of the machine use every CPU, meters see more stalls (docs/STALLS.md, Safety). A
# database that does so must not be excused by them: such a second is taken as it is.
SATURATED: Final = 0.95
_END_WAIT_NS: Final = 500_000_000
_PAUSE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class _WaitingSecond:
    frame: SecondEnded
    payload: bytes
    columns: SecondColumns
    host: HostFigures


class SecondClassifier:
    """Collects a load process's frames; gives its seconds out in order, classified.

    `machine` names the machine (`probes.boot_id`). `clock` is CLOCK_MONOTONIC in nanoseconds,
    `pause` waits for seconds; both only matter at the end of a run.
    """

    def __init__(
        self,
        host: HostProbe,
        stalls: StallRecord,
        *,
        machine: str = "",
        clock: Callable[[], int] = time.monotonic_ns,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._stalls = stalls
        self._machine = machine
        self._clock = clock
        self._pause = pause
        self._columns = SecondColumns()  # of the second that is not over yet
        self._waiting: deque[_WaitingSecond] = deque()
        self._end_ns = 0

    def take_calls(self, frame: RecordedCalls, payload: bytes) -> None:
        """Add calls to the second that is not over yet; the first ones start the meters."""
        self._stalls.start()
        self._columns.take(frame.series, payload)

    def end_second(self, frame: SecondEnded, payload: bytes) -> None:
        """The second is over; its host figures are read now."""
        columns, self._columns = self._columns, SecondColumns()
        self._waiting.append(_WaitingSecond(frame, payload, columns, self._host.read()))
        self._end_ns = frame.end_ns

    def classified(self) -> Iterator[ClassifiedSecond]:
        """The seconds that can be classified by now."""
        self._stalls.poll()
        while self._waiting and self._ready(self._waiting[0].frame.end_ns):
            yield self._classify(self._waiting.popleft())

    def rest(self) -> tuple[list[ClassifiedSecond], list[SeriesPart]]:
        """What is left at the end: whole seconds, and the calls of one that did not end."""
        give_up_ns = self._clock() + _END_WAIT_NS
        seconds = list(self.classified())
        while self._waiting and self._stalls.alive and self._clock() < give_up_ns:
            self._pause(_PAUSE_S)
            seconds += self.classified()
        seconds += [self._classify(waiting) for waiting in self._waiting]
        self._waiting.clear()
        return seconds, self._columns.parts(_all if self._stalls.kind else None)

    def _ready(self, end_ns: int) -> bool:
        if self._stalls.starting:
            return self._end_ns - end_ns > LATEST_NS
        if not self._stalls.alive:
            return True
        return self._stalls.settled(end_ns) or self._end_ns - end_ns > LATEST_NS

    def _classify(self, waiting: _WaitingSecond) -> ClassifiedSecond:
        frame, stalls = waiting.frame, self._stalls
        touches: Touches | None = None
        saturated = (waiting.host.host_cpu or 0.0) >= SATURATED
        if stalls.kind and saturated:
            touches = _none
        elif stalls.kind:
            touches = stalls.touches if stalls.settled(frame.end_ns) else _all
        delays = bucket_delays(frame.dispatch_delays, waiting.payload, touches)
        parts = waiting.columns.parts(touches)
        return ClassifiedSecond(
            index=frame.index,
            row=HealthRow.of(frame.second, frame.process, waiting.host, delay_figures(delays)),
            parts=parts,
            delays=delays,
            stalls=self._stalls_of(frame, parts, touches) if touches else None,
            scheduled=frame.scheduled,
            last=frame.last,
            rehearsal=frame.rehearsal,
        )

    def _stalls_of(
        self, frame: SecondEnded, parts: list[SeriesPart], touches: Touches
    ) -> StallSecond:
        known, excused = touches is not _all, touches is not _none
        begin_ns = frame.end_ns - round(frame.second.length_s * 1e9)
        origin_ns = begin_ns - round(frame.second.time_s * 1e9)
        dead_ns = frame.end_ns - begin_ns
        if known:
            dead_ns = self._stalls.dead_ns(begin_ns, frame.end_ns) if excused else 0
        return StallSecond(
            meter=self._stalls.kind or "ordinary",
            machine=self._machine,
            rows=[
                self._row(frame.second.worker, stall, origin_ns, used=used and excused)
                for stall, used in self._stalls.take(frame.end_ns)
            ],
            dead_s=dead_ns / 1e9,
            unclassified=0
            if known
            else sum(int(part.counts["response_time"].total) for part in parts),
        )

    def _row(self, worker: str, stall: Stall, origin_ns: int, *, used: bool) -> StallRow:
        return StallRow(
            worker,
            stall.cpu,
            (stall.due_ns - origin_ns) / 1e9,
            stall.length_ns / 1e6,
            self._stalls.kind or "ordinary",
            used,
            stall.due_ns,
        )


def _all(intended_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Every call counts as disturbed where it is not known."""
    return np.ones(len(intended_ns), np.bool_)


def _none(intended_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """No call is disturbed where stalls may not excuse anything."""
    return np.zeros(len(intended_ns), np.bool_)
