"""The scribe: the process that buckets, merges and writes, so that the load process need not.

It reads frames from standard input, writes the run folder, and prints lines for the load process
(`messages.py`): live figures, or, for a worker of a cluster, each second on its way to the master.
It ends with its input. An input without a `RunEnded` frame means that the load process died; the
run folder is then closed as interrupted.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from loadtests.measure.health.accounts import RunAccount
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.probes import HostProbe, boot_id
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.step_evidence import StepEvidence
from loadtests.measure.health.validity import judge_validity, with_signals
from loadtests.measure.live import last_second, locust_entries, process_second
from loadtests.measure.merger import Merged, Merger
from loadtests.measure.messages import (
    Frame,
    LineKind,
    LiveFigures,
    OpenRun,
    OpenWorker,
    ProcessSecond,
    RecordedCalls,
    RunClock,
    RunEnd,
    RunEnded,
    ScenarioFailed,
    SecondEnded,
    WorkerInterval,
    WorkerLost,
    WorkerSecond,
    line,
    parse_worker_second,
    unpack,
)
from loadtests.measure.results import MonotonicClock, RehearsalInfo, SeriesInfo, Validity
from loadtests.measure.run_folder import RunFolderWriter
from loadtests.measure.series import SeriesPart
from loadtests.measure.stalls.classifier import SecondClassifier
from loadtests.measure.stalls.monitor import StallMonitor
from loadtests.measure.stalls.record import StallRecord, ThrottleWatch
from loadtests.measure.stalls.seconds import ClassifiedSecond, StallList, StallTotals


class ScribeRole(Protocol):
    """What a scribe does with its frames: `WorkerScribe` or `RunScribe`."""

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""

    def finish(self, state: RunEnd) -> None:
        """No frame follows."""


class WorkerScribe:
    """The scribe of a cluster's worker: prints each second for the master."""

    def __init__(self, out: TextIO, own: SecondClassifier) -> None:
        self._out = out
        self._own = own

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""
        match frame:
            case RecordedCalls():
                self._own.take_calls(frame, payload)
            case SecondEnded():
                self._own.end_second(frame, payload)
        for second in self._own.classified():
            self._print(second)

    def finish(self, state: RunEnd) -> None:
        """Print the rest; the master's scribe closes the run folder."""
        del state
        for second in self._own.rest()[0]:
            self._print(second)

    def _print(self, second: ClassifiedSecond) -> None:
        print_line(self._out, "interval", WorkerSecond.of(second))
        print_line(self._out, "locust", locust_entries(second.parts))


class RunScribe:
    """The scribe of a single load process, or of a cluster's master: writes the run folder."""

    def __init__(self, frame: OpenRun, out: TextIO, own: SecondClassifier) -> None:
        self._out = out
        self._own = own
        sources = list(frame.rate_per_s)
        self._merger = Merger(sources)
        steps = frame.info.steps
        self._steps = StepEvidence(steps, sources) if steps else None
        self._evidence = GeneratorEvidence(rate_per_s=frame.rate_per_s)
        self._stalls = StallTotals()
        self._stall_list = StallList()
        self._account = RunAccount(sources, frame.info.warm_up_s)
        self._folder = RunFolderWriter(Path(frame.path), frame.info, frame.started_at_s)
        self._index = 0
        self._unreported: list[SeriesPart] = []  # not yet in Locust's own tables
        self._processes: dict[str, ProcessSecond] = {}

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""
        match frame:
            case RecordedCalls():
                self._own.take_calls(frame, payload)
            case SecondEnded():
                self._own.end_second(frame, payload)
            case WorkerInterval():
                self._take_workers_second(frame.worker, payload)
            case WorkerLost():
                self._lose(frame.worker)
            case ScenarioFailed():
                self._folder.info.scenario_errors.append(frame.error)
            case RunClock():
                clock = MonotonicClock(origin=frame.origin, end=frame.end)
                self._folder.update({"monotonic_ns": clock})
        for second in self._own.classified():
            self._take_own_second(second)

    def finish(self, state: RunEnd) -> None:
        """Write the rest and the final run.json."""
        seconds, parts = self._own.rest()
        for second in seconds:
            self._take_own_second(second)
        self._add_parts(self._index, parts)
        self._write(self._merger.finish())
        summaries = self._merger.summaries()
        signals, validity = self._judge(summaries)
        if self._evidence.workers or self._steps:
            signals, validity = with_signals(signals, validity, self._account.signals())
        self._folder.info.stalls = self._stalls.summary(summaries)
        self._folder.finish(state, summaries, signals, validity)

    def _take_own_second(self, second: ClassifiedSecond) -> None:
        self._add_parts(second.index, second.parts)
        self._unreported += second.parts
        self._index = second.index + 1
        self._close(second)

    def _take_workers_second(self, worker: str, text: bytes) -> None:
        """A second from another process, perhaps on another host; a malformed one loses it."""
        try:
            second = parse_worker_second(text, worker).decode()
        except ValueError:
            self._lose(worker)
            return
        self._add_parts(second.index, second.parts)
        self._close(second)

    def _lose(self, worker: str) -> None:
        """A worker is gone; its calls stay, and the run becomes INVALID."""
        if worker in self._evidence.lost:
            return
        self._evidence.lost.append(worker)
        self._account.lose(worker)
        if self._steps:
            self._steps.lose(worker, self._folder.info.duration_s)
        self._write(self._merger.lose(worker))

    def _judge(self, summaries: list[SeriesInfo]) -> tuple[list[Signal], Validity]:
        if not self._steps:
            stalls = self._stalls.summary(summaries)
            return judge_validity(self._evidence, summaries, stalls)
        self._folder.info.steps = self._steps.infos()
        return self._steps.judge()

    def _add_parts(self, index: int, parts: list[SeriesPart]) -> None:
        for part in parts:
            self._merger.add(index, part)

    def _close(self, second: ClassifiedSecond) -> None:
        row, second = second.row, self._stall_list.add(second)
        self._folder.add_health(row)
        self._account.add(second)
        if second.rehearsal:
            self._folder.info.rehearsal = together(self._folder.info.rehearsal, second.rehearsal)
        if second.stalls:
            self._folder.add_stalls(second.stalls.rows)
        self._processes[row.worker] = process_second(row)
        if row.warm_up:
            self._evidence.add_warm_up(row)
        else:
            self._evidence.add(row, second.delays)
            self._stalls.add(second)
            if self._steps:
                self._steps.add(row, second.delays, second.parts)
        self._write(self._merger.close(second.index, row.worker, row.time_s, row.length_s))

    def _write(self, intervals: Iterable[Merged]) -> None:
        for merged in intervals:
            summaries = self._merger.summaries()
            signals, validity = self._judge(summaries)
            warming_up = not (self._steps.begun if self._steps else self._evidence.workers)
            if warming_up:
                signals = []
            self._folder.info.stalls = self._stalls.summary(summaries)
            self._folder.add(merged, summaries, signals, None if warming_up else validity)
            live = LiveFigures(
                index=merged.index,
                time_s=merged.start_s + merged.length_s,
                last_second=last_second(merged),
                series=summaries,
                processes=self._processes,
                signals=signals,
                stalls=self._folder.info.stalls,
            )
            print_line(self._out, "live", live)
            print_line(self._out, "locust", locust_entries(self._unreported))
            self._unreported = []


def together(first: RehearsalInfo | None, second: RehearsalInfo) -> RehearsalInfo:
    """The rehearsals of two load processes, which made them at the same time."""
    if first is None:
        return second
    calls = Counter(first.calls)
    calls.update(second.calls)
    return RehearsalInfo(calls=dict(calls), seconds=max(first.seconds, second.seconds))


def print_line(out: TextIO, kind: LineKind, content: object) -> None:
    """Print a line for the load process."""
    # the load process may have ended already; the run folder still gets everything
    with contextlib.suppress(BrokenPipeError):
        out.write(line(kind, content))
        out.flush()


def serve(stream: BinaryIO, out: TextIO, own: SecondClassifier) -> None:
    """Act on every frame until the stream ends. Raises ValueError for a malformed frame."""
    role: ScribeRole | None = None
    for frame, payload in unpack(stream):
        match frame:
            case OpenRun():
                role = RunScribe(frame, out, own)
            case OpenWorker():
                role = WorkerScribe(out, own)
            case RunEnded():
                if role:
                    role.finish(frame.state)
                print_line(out, "ended", {})
                return
            case _ if role:
                role.take(frame, payload)
            case _:
                raise ValueError(f"a frame of kind {frame.kind!r} came before the first")
    if role:
        role.finish("interrupted")


def main() -> None:
    """Entry point of `python -m loadtests.measure.scribe`."""
    # Ctrl-C reaches every process of the terminal; the scribe goes on until its input ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    host = HostProbe()
    with StallMonitor() as meters:
        stalls = StallRecord(meters, throttled=ThrottleWatch(host.throttled_us))
        own = SecondClassifier(host, stalls, machine=boot_id())
        serve(sys.stdin.buffer, sys.stdout, own)


if __name__ == "__main__":
    main()
