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
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from loadtests.measure import hlog
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import (
    GeneratorDelays,
    bucket_delays,
    delay_figures,
)
from loadtests.measure.health.probes import HealthRow, HostProbe
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.step_evidence import StepEvidence
from loadtests.measure.health.validity import judge_validity
from loadtests.measure.live import last_second, locust_entries, process_second
from loadtests.measure.merger import Merged, Merger
from loadtests.measure.messages import (
    EncodedPart,
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
    SecondEnded,
    WorkerInterval,
    WorkerLost,
    WorkerSecond,
    line,
    parse_worker_second,
    unpack,
)
from loadtests.measure.results import MonotonicClock, SeriesInfo, Validity
from loadtests.measure.run_folder import RunFolderWriter
from loadtests.measure.series import SecondColumns, SeriesPart


class ScribeRole(Protocol):
    """What a scribe does with its frames: `WorkerScribe` or `RunScribe`."""

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""

    def finish(self, state: RunEnd) -> None:
        """No frame follows."""


class WorkerScribe:
    """The scribe of a cluster's worker: prints each second for the master."""

    def __init__(self, out: TextIO, host: HostProbe) -> None:
        self._out = out
        self._host = host
        self._columns = SecondColumns()

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""
        match frame:
            case RecordedCalls():
                self._columns.take(frame.series, payload)
            case SecondEnded():
                self._print(frame, payload)

    def finish(self, state: RunEnd) -> None:
        """The master's scribe closes the run folder."""

    def _print(self, frame: SecondEnded, payload: bytes) -> None:
        delays = bucket_delays(frame.dispatch_delays, payload)
        parts = self._columns.parts()
        second = WorkerSecond(
            index=frame.index,
            row=HealthRow.of(frame.second, frame.process, self._host.read(), delay_figures(delays)),
            parts=[EncodedPart.of(part) for part in parts],
            dispatch_delay=hlog.encode(delays.dispatch),
            event_loop_delay=hlog.encode(delays.event_loop),
        )
        print_line(self._out, "interval", second)
        print_line(self._out, "locust", locust_entries(parts))


class RunScribe:
    """The scribe of a single load process, or of a cluster's master: writes the run folder."""

    def __init__(self, frame: OpenRun, out: TextIO, host: HostProbe) -> None:
        self._out = out
        self._host = host
        sources = list(frame.rate_per_s)
        self._merger = Merger(sources)
        steps = frame.info.steps
        self._steps = StepEvidence(steps, sources) if steps else None
        self._evidence = GeneratorEvidence(rate_per_s=frame.rate_per_s)
        self._folder = RunFolderWriter(Path(frame.path), frame.info, frame.started_at_s)
        self._index = 0
        self._columns = SecondColumns()  # of the second that is not over yet
        self._unreported: list[SeriesPart] = []  # not yet in Locust's own tables
        self._processes: dict[str, ProcessSecond] = {}

    def take(self, frame: Frame, payload: bytes) -> None:
        """Act on a frame."""
        match frame:
            case RecordedCalls():
                self._columns.take(frame.series, payload)
            case SecondEnded():
                self._take_own_second(frame, payload)
            case WorkerInterval():
                self._take_workers_second(frame.worker, payload)
            case WorkerLost():
                self._lose(frame.worker)
            case RunClock():
                clock = MonotonicClock(origin=frame.origin, end=frame.end)
                self._folder.update({"monotonic_ns": clock})

    def finish(self, state: RunEnd) -> None:
        """Write the rest and the final run.json."""
        self._add_parts(self._index)
        self._write(self._merger.finish())
        summaries = self._merger.summaries()
        signals, validity = self._judge(summaries)
        self._folder.finish(state, summaries, signals, validity)

    def _take_own_second(self, frame: SecondEnded, payload: bytes) -> None:
        delays = bucket_delays(frame.dispatch_delays, payload)
        row = HealthRow.of(frame.second, frame.process, self._host.read(), delay_figures(delays))
        parts = self._add_parts(frame.index)
        self._close(frame.index, row, delays, parts)

    def _take_workers_second(self, worker: str, text: bytes) -> None:
        """A second from another process, perhaps on another host; a malformed one loses it."""
        try:
            second = parse_worker_second(text, worker)
            parts = [part.decode() for part in second.parts]
            delays = GeneratorDelays(
                hlog.decode(second.dispatch_delay), hlog.decode(second.event_loop_delay)
            )
        except ValueError:
            self._lose(worker)
            return
        for part in parts:
            self._merger.add(second.index, part)
        self._close(second.index, second.row, delays, parts)

    def _lose(self, worker: str) -> None:
        """A worker is gone; its calls stay, and the run becomes INVALID."""
        if worker in self._evidence.lost:
            return
        self._evidence.lost.append(worker)
        if self._steps:
            self._steps.lose(worker, self._folder.info.duration_s)
        self._write(self._merger.lose(worker))

    def _judge(self, summaries: list[SeriesInfo]) -> tuple[list[Signal], Validity]:
        if not self._steps:
            return judge_validity(self._evidence, summaries)
        self._folder.info.steps = self._steps.infos()
        return self._steps.judge()

    def _add_parts(self, index: int) -> list[SeriesPart]:
        # only the end of a second says its number: a process that stalled skips some
        parts = self._columns.parts()
        for part in parts:
            self._merger.add(index, part)
        self._unreported += parts
        self._index = index + 1
        return parts

    def _close(
        self, index: int, row: HealthRow, delays: GeneratorDelays, parts: list[SeriesPart]
    ) -> None:
        self._folder.add_health(row)
        self._processes[row.worker] = process_second(row)
        if not row.warm_up:
            self._evidence.add(row, delays)
            if self._steps:
                self._steps.add(row, delays, parts)
        self._write(self._merger.close(index, row.worker, row.time_s, row.length_s))

    def _write(self, intervals: Iterable[Merged]) -> None:
        for merged in intervals:
            summaries = self._merger.summaries()
            signals, validity = self._judge(summaries)
            warming_up = not (self._steps.begun if self._steps else self._evidence.workers)
            if warming_up:
                signals = []
            self._folder.add(merged, summaries, signals, None if warming_up else validity)
            live = LiveFigures(
                index=merged.index,
                time_s=merged.start_s + merged.length_s,
                last_second=last_second(merged),
                series=summaries,
                processes=self._processes,
                signals=signals,
            )
            print_line(self._out, "live", live)
            print_line(self._out, "locust", locust_entries(self._unreported))
            self._unreported = []


def print_line(out: TextIO, kind: LineKind, content: object) -> None:
    """Print a line for the load process."""
    # the load process may have ended already; the run folder still gets everything
    with contextlib.suppress(BrokenPipeError):
        out.write(line(kind, content))
        out.flush()


def serve(stream: BinaryIO, out: TextIO, host: HostProbe) -> None:
    """Act on every frame until the stream ends. Raises ValueError for a malformed frame."""
    role: ScribeRole | None = None
    for frame, payload in unpack(stream):
        match frame:
            case OpenRun():
                role = RunScribe(frame, out, host)
            case OpenWorker():
                role = WorkerScribe(out, host)
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
    serve(sys.stdin.buffer, sys.stdout, HostProbe())


if __name__ == "__main__":
    main()
