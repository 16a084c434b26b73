"""Frames that a load process sends its scribe, made by hand, and the scribe run in process."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.measure.health.probes import HostProbe, ProcessFigures, SecondFigures
from loadtests.measure.messages import (
    LiveFigures,
    LocustEntry,
    OpenRun,
    OpenWorker,
    RecordedCalls,
    RunEnd,
    RunEnded,
    SecondEnded,
    WorkerInterval,
    pack,
    parse_line,
    parse_live,
    parse_locust,
    unpack,
)
from loadtests.measure.results import RunInfo, StepInfo
from loadtests.measure.scribe import serve
from loadtests.measure.series import subject_of
from loadtests.measure.stalls.classifier import SecondClassifier
from loadtests.measure.stalls.record import Meters, StallRecord
from loadtests.measure.stalls.windows import Stall

NO_HOST = Path("/nonexistent")
STARTED_AT_S = 1_772_443_800.0
ORIGIN_NS = 5_000_000_000_000  # time 0 of the run by CLOCK_MONOTONIC


def row(worker: str = "generator", **changes: Any) -> dict[str, Any]:
    """A healthy second as the load process describes it."""
    return {
        "worker": worker,
        "time_s": 0.0,
        "length_s": 1.0,
        "warm_up": False,
        "offered": 100,
        "queued": 0,
        "behind_ms": 0.0,
        "users": 20,
        "free_users_min": 18,
        "in_flight": 1,
        "invalid_responses": 0,
        "heartbeat_delay_max_ms": 0.4,
        "event_loop_stall_ms": 0.0,
        "gc_pauses": 1,
        "gc_paused_ms": 0.2,
        "gc_pause_max_ms": 0.2,
        "process_cpu": 0.3,
    } | changes


def opening(path: Path, sources: list[str] | None = None, steps: Sequence[StepInfo] = ()) -> bytes:
    """The frame that opens a run folder at `path`."""
    info = RunInfo(
        id=path.name, scenario="cart", state="running", started_at="now", steps=list(steps)
    )
    return pack(
        OpenRun(
            path=str(path),
            info=info,
            started_at_s=STARTED_AT_S,
            rate_per_s=dict.fromkeys(["generator"] if sources is None else sources, 100.0),
        )
    )


def closing(
    index: int,
    source: str = "generator",
    *,
    start_s: float | None = None,
    length_s: float = 1.0,
    dispatch_delays_ns: list[int] | None = None,
    event_loop_delays_ns: list[int] | None = None,
    scheduled: dict[str, int] | None = None,
    last: bool = False,
    **changes: Any,
) -> bytes:
    """The frame that ends second `index` of `source`; `changes` are the row's.

    Without `scheduled` the run helpers below take every recorded call for a scheduled one.
    """
    start_s = float(index) if start_s is None else start_s
    dispatch, event_loop = dispatch_delays_ns or [], event_loop_delays_ns or []
    figures = {"cpu_wait": None, "scheduled": sum((scheduled or {}).values())} | row(
        source, time_s=start_s, length_s=length_s, **changes
    )
    process = {each.name: figures.pop(each.name) for each in fields(ProcessFigures)}
    frame = SecondEnded(
        index=index,
        end_ns=ORIGIN_NS + round((start_s + length_s) * 1e9),
        second=SecondFigures(**figures),
        process=ProcessFigures(**process),
        dispatch_delays=len(dispatch),
        scheduled=scheduled or {},
        last=last,
    )
    # each delay with the moment that it belongs to
    moments = [ORIGIN_NS]
    columns = [*moments * len(dispatch), *dispatch, *moments * len(event_loop), *event_loop]
    return pack(frame, np.array(columns, np.int64).tobytes())


def accounted(stream: bytes) -> bytes:
    """The stream of a load process whose schedule holds exactly its calls, and whose end is known.

    A second that names its scheduled arrivals keeps them.
    """
    frames = list(unpack(io.BytesIO(stream)))
    lasts = [n for n, (frame, _) in enumerate(frames) if isinstance(frame, SecondEnded)]
    packed, calls = [], Counter[str]()
    for number, (frame, payload) in enumerate(frames):
        if isinstance(frame, RecordedCalls):
            for series in frame.series:
                if not series["warm_up"]:
                    calls[subject_of(series["backend"], series["driver"])] += series["calls"]
        if isinstance(frame, SecondEnded):
            scheduled, calls = frame.scheduled or dict(calls), Counter()
            second = replace(frame.second, scheduled=sum(scheduled.values()))
            is_last = frame.last or number == lasts[-1]
            packed.append(
                pack(replace(frame, second=second, scheduled=scheduled, last=is_last), payload)
            )
        else:
            packed.append(pack(frame, payload))
    return b"".join(packed)


def end(state: RunEnd = "complete") -> bytes:
    """The last frame."""
    return pack(RunEnded(state))


class NoMeters:
    """A machine whose stalls are not measured."""

    kind = None
    alive = False
    known_until_ns = 0

    def start(self) -> None:
        """Nothing to start."""

    def read(self) -> list[Stall]:
        """No stalls."""
        return []


def classifier(meters: Meters | None = None) -> SecondClassifier:
    """A scribe's own seconds, without a host to look at and without a wait at the end."""
    return SecondClassifier(
        HostProbe(NO_HOST, clock=lambda: 0.0),
        StallRecord(meters or NoMeters()),
        machine="this boot",
        clock=lambda: 0,
        pause=lambda seconds: None,
    )


def scribe(
    stream: bytes, meters: Meters | None = None, *, account: bool = True
) -> list[tuple[str, bytes]]:
    """Run a scribe over a whole stream; the kind and content of each line that it printed.

    `account` makes the stream's account right (`accounted`).
    """
    out = io.StringIO()
    serve(io.BytesIO(accounted(stream) if account else stream), out, classifier(meters))
    return [parse_line(line.encode()) for line in out.getvalue().splitlines()]


def live_lines(lines: list[tuple[str, bytes]]) -> list[LiveFigures]:
    """The live figures among a scribe's lines."""
    return [parse_live(content) for kind, content in lines if kind == "live"]


def locust_lines(lines: list[tuple[str, bytes]]) -> list[list[LocustEntry]]:
    """The entries for Locust's tables among a scribe's lines."""
    return [parse_locust(content) for kind, content in lines if kind == "locust"]


def relay(stream: bytes, worker: str = "worker 1", meters: Meters | None = None) -> list[bytes]:
    """Run a worker's scribe; its seconds as the frames that reach the master's scribe."""
    lines = scribe(pack(OpenWorker(worker=worker)) + stream, meters)
    return [pack(WorkerInterval(worker), content) for kind, content in lines if kind == "interval"]
