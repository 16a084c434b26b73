"""The messages between a load process and its scribe.

To the scribe go frames on its standard input: two little-endian 32-bit lengths, a JSON header (one
of the dataclasses of `Frame`), and a payload (raw columns, or a worker's second as JSON). Back come
lines on its standard output: a `LineKind`, a space and JSON.

In a cluster, a worker's scribe prints each `WorkerSecond`; the worker sends this text to the master
unread, and the master passes it to its own scribe in a `WorkerInterval`. It comes from another host
and is therefore validated there (`parse_worker_second`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO, ClassVar, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from loadtests.measure import hlog
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow, ProcessFigures, SecondFigures
from loadtests.measure.health.signals import Signal
from loadtests.measure.histogram import Sparse
from loadtests.measure.results import (
    Count,
    Milliseconds,
    RehearsalInfo,
    RunInfo,
    ScenarioError,
    SeriesInfo,
    StallInfo,
)
from loadtests.measure.series import CapacityTotals, RawSeries, SeriesName, SeriesPart
from loadtests.measure.stalls.seconds import ClassifiedSecond, StallSecond
from loadtests.patterns import METRICS

_LENGTHS: Final = struct.Struct("<II")
_STRICT: Final = ConfigDict(allow_inf_nan=False, extra="forbid")

RunEnd = Literal["complete", "interrupted"]
Metric = Literal["response_time", "service_time", "wire_time"]
# part of a log's tag, which slashes and commas would break
NamePart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
Index = Annotated[int, Field(ge=0, le=10_000_000)]


# --- frames, from the load process


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """Start a run folder. `rate_per_s` holds each load process's share of the load, 1/s."""

    path: str
    info: RunInfo
    started_at_s: float
    rate_per_s: dict[str, float]
    kind: Literal["open_run"] = "open_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWorker:
    """Work for a cluster's worker: print its seconds instead of writing a run folder."""

    worker: str
    kind: Literal["open_worker"] = "open_worker"


@dataclass(frozen=True, slots=True)
class RecordedCalls:
    """What a recorder gathered; the payload holds the columns of all series, one after another."""

    series: list[RawSeries]
    kind: Literal["calls"] = "calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondEnded:
    """A second of this process is over.

    `index` is its number since the run began, `end_ns` its end by CLOCK_MONOTONIC. `scheduled` are
    the measured arrivals that the schedule holds for it, by subject (`series.subject_of`), and
    `last` says that the process makes no more calls. `rehearsal` comes with the first second. The
    payload
    holds four columns of int64 nanoseconds: the intended starts of `dispatch_delays` arrivals and
    their delays, then the moments at which the event loop was sampled and its delays.
    """

    index: Index
    end_ns: int
    second: SecondFigures
    process: ProcessFigures
    dispatch_delays: Count
    scheduled: dict[str, Count] = field(default_factory=dict)
    last: bool = False
    rehearsal: RehearsalInfo | None = None
    kind: Literal["second"] = "second"


@dataclass(frozen=True, slots=True)
class WorkerInterval:
    """A second of a worker; the payload is the `WorkerSecond` as JSON, not yet validated."""

    worker: str
    kind: Literal["interval"] = "interval"


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker no longer responds."""

    worker: str
    kind: Literal["lost"] = "lost"


@dataclass(frozen=True, slots=True)
class ScenarioFailed:
    """The scenario's own code raised an error of a kind that it had not raised before."""

    error: ScenarioError
    kind: Literal["scenario_failed"] = "scenario_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClock:
    """When load began and ended by the machine's monotonic clock, ns."""

    origin: int
    end: int
    kind: Literal["clock"] = "clock"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last frame."""

    state: RunEnd
    kind: Literal["end"] = "end"


Frame = (
    OpenRun
    | OpenWorker
    | RecordedCalls
    | SecondEnded
    | WorkerInterval
    | WorkerLost
    | ScenarioFailed
    | RunClock
    | RunEnded
)
_FRAMES: Final[TypeAdapter[Frame]] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])


def pack(frame: Frame, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    header = orjson.dumps(frame, default=_plain)
    return _LENGTHS.pack(len(header), len(payload)) + header + payload


def unpack(stream: BinaryIO) -> Iterator[tuple[Frame, bytes]]:
    """Every whole frame until the stream ends; a frame cut short by a crash is left out."""
    while True:
        lengths = stream.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return
        header_length, payload_length = _LENGTHS.unpack(lengths)
        header = stream.read(header_length)
        payload = stream.read(payload_length)
        if len(header) < header_length or len(payload) < payload_length:
            return
        yield _FRAMES.validate_json(header), payload


def _plain(value: object) -> object:
    """What orjson cannot encode by itself."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{type(value).__name__} is no part of a message")


# --- a worker's second, on its way to the master's scribe


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPart:
    """A `SeriesPart` as text; `counts` are encoded as in the interval log."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    backend: NamePart
    driver: NamePart
    pattern: NamePart
    warm_up: bool
    counts: dict[Metric, str]
    undisturbed: dict[Metric, str] | None = None
    errors: dict[str, Count] = field(default_factory=dict)
    unfinished: Count = 0
    capacity: CapacityTotals = field(default_factory=CapacityTotals)

    @classmethod
    def of(cls, part: SeriesPart) -> EncodedPart:
        """Encode a part."""
        return cls(
            backend=part.name.backend,
            driver=part.name.driver,
            pattern=part.name.pattern,
            warm_up=part.warm_up,
            counts=_encoded(part.counts),
            undisturbed=None if part.undisturbed is None else _encoded(part.undisturbed),
            errors=dict(part.errors),
            unfinished=part.unfinished,
            capacity=part.capacity,
        )

    def decode(self) -> SeriesPart:
        """The part. Raises ValueError for a damaged or missing histogram."""
        return SeriesPart(
            name=SeriesName(self.backend, self.driver, self.pattern),
            warm_up=self.warm_up,
            counts=_decoded(self.counts),
            errors=self.errors,
            unfinished=self.unfinished,
            capacity=self.capacity,
            undisturbed=None if self.undisturbed is None else _decoded(self.undisturbed),
        )


def _encoded(counts: Mapping[str, Sparse]) -> dict[Metric, str]:
    return {metric: hlog.encode(counts[metric]) for metric in _METRICS}


def _decoded(counts: Mapping[Metric, str]) -> dict[str, Sparse]:
    if set(counts) != set(METRICS):
        raise ValueError(f"a part needs counts of {', '.join(METRICS)}")
    return {metric: hlog.decode(text) for metric, text in counts.items()}


_METRICS: Final[tuple[Metric, ...]] = ("response_time", "service_time", "wire_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSecond:
    """One second of one worker, bucketed and encoded."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    index: Index
    row: HealthRow
    parts: list[EncodedPart]
    dispatch_delay: str
    event_loop_delay: str
    undisturbed_dispatch_delay: str | None = None
    undisturbed_event_loop_delay: str | None = None
    stalls: StallSecond | None = None
    scheduled: dict[str, Count] = field(default_factory=dict)
    last: bool = False
    rehearsal: RehearsalInfo | None = None

    @classmethod
    def of(cls, second: ClassifiedSecond) -> WorkerSecond:
        """Encode a second of this process."""
        delays = second.delays
        return cls(
            index=second.index,
            row=second.row,
            parts=[EncodedPart.of(part) for part in second.parts],
            dispatch_delay=hlog.encode(delays.dispatch),
            event_loop_delay=hlog.encode(delays.event_loop),
            undisturbed_dispatch_delay=_encoded_or_none(delays.undisturbed_dispatch),
            undisturbed_event_loop_delay=_encoded_or_none(delays.undisturbed_event_loop),
            stalls=second.stalls,
            scheduled=dict(second.scheduled),
            last=second.last,
            rehearsal=second.rehearsal,
        )

    def decode(self) -> ClassifiedSecond:
        """The second. Raises ValueError for a damaged histogram."""
        return ClassifiedSecond(
            index=self.index,
            row=self.row,
            parts=[part.decode() for part in self.parts],
            delays=GeneratorDelays(
                hlog.decode(self.dispatch_delay),
                hlog.decode(self.event_loop_delay),
                _decoded_or_none(self.undisturbed_dispatch_delay),
                _decoded_or_none(self.undisturbed_event_loop_delay),
            ),
            stalls=self.stalls,
            scheduled=self.scheduled,
            last=self.last,
            rehearsal=self.rehearsal,
        )


def _encoded_or_none(counts: Sparse | None) -> str | None:
    return None if counts is None else hlog.encode(counts)


def _decoded_or_none(text: str | None) -> Sparse | None:
    return None if text is None else hlog.decode(text)


_WORKER_SECOND: Final = TypeAdapter(WorkerSecond)


def parse_worker_second(text: bytes, worker: str) -> WorkerSecond:
    """Read and validate a second that claims to be of `worker`. Raises ValueError."""
    second = _WORKER_SECOND.validate_json(text)
    if second.row.worker != worker:
        raise ValueError(f"{worker} sent a second of {second.row.worker}")
    return second


# --- lines, from the scribe

LineKind = Literal["live", "locust", "interval", "ended"]


class LocustEntry(TypedDict):
    """One series' calls of a second as Locust's own tables need them, in milliseconds.

    `response_times` holds pairs of a time rounded as Locust rounds it and its number of calls. This
    is a plain dict because it is read in the event loop, once per second.
    """

    backend: str
    pattern: str
    count: Count
    total_ms: float
    min_ms: float
    max_ms: float
    response_times: list[list[int]]
    errors: dict[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSecond:
    """One series in the last second; times are None when there was no call."""

    backend: str
    pattern: str
    rate_per_s: float
    p50_ms: Milliseconds | None
    p99_ms: Milliseconds | None
    max_ms: Milliseconds | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSecond:
    """One load process in its last second."""

    cpu: float
    dispatch_delay_p99_ms: float | None
    event_loop_delay_p99_ms: float | None
    heartbeat_delay_max_ms: float | None
    free_users_min: int
    behind_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """The run so far; `series`, `signals` and `stalls` are over its measured part."""

    index: int
    time_s: float
    last_second: list[LastSecond]
    series: list[SeriesInfo]
    processes: dict[str, ProcessSecond]
    signals: list[Signal]
    stalls: StallInfo | None = None


_LIVE_FIGURES: Final = TypeAdapter(LiveFigures)


def line(kind: LineKind, content: object) -> str:
    """One line with its end."""
    return f"{kind} {orjson.dumps(content, default=_plain).decode()}\n"


def parse_line(text: bytes) -> tuple[str, bytes]:
    """A line's kind and its content, still encoded."""
    kind, _, content = text.rstrip(b"\n").partition(b" ")
    return kind.decode(), content


def parse_live(content: bytes) -> LiveFigures:
    """Read the content of a `live` line. Raises ValueError."""
    return _LIVE_FIGURES.validate_json(content)


def parse_locust(content: bytes) -> list[LocustEntry]:
    """Read the content of a `locust` line, which comes from this process's own scribe."""
    entries: list[LocustEntry] = orjson.loads(content)
    return entries
