"""The run folder: what the left half writes and the right half reads.

::

    results/<UTC time>-<scenario>-<id>/
        run.json       `RunInfo`: what ran, on what, per-series summaries, health, validity, verdict
        latency.hlog   one line a second and series, Tag=backend/driver/pattern/metric, nanoseconds
        warm-up.hlog   the same for the excluded warm-up
        health.csv     one row a second and worker
    results/latest     symbolic link to the newest
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtests.errors import ResultsError
from loadtests.measure import hlog
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.json_files import read_record

SCHEMA: Final = 1
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Units = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True, allow_inf_nan=False)


class Times(_Part):
    """Percentiles of one metric, in milliseconds."""

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds
    p999: Annotated[Milliseconds, Field(alias="p99.9")]
    max: Milliseconds


class Capacity(_Part):
    """What DynamoDB charged, averaged over the calls that asked (warm-up only)."""

    rcu_per_op: Units | None = None
    wcu_per_op: Units | None = None


class SeriesInfo(_Part):
    """One backend, driver and access pattern over the measured part of the run.

    `count` includes failed and unfinished calls; the percentiles do too. Times are None when
    nothing was measured.
    """

    backend: str
    driver: str
    pattern: str
    count: Count
    errors: dict[str, Count] = Field(default_factory=dict)
    unfinished: Count = 0
    response_time_ms: Times | None = None
    service_time_ms: Times | None = None
    wire_time_ms: Times | None = None
    capacity: Capacity | None = None


class Reason(_Part):
    """Why a run is invalid: the rule, what was found in words, and the remedy."""

    rule: str
    found: str
    remedy: str


class Validity(_Part):
    """Whether the generator can be trusted not to have distorted the run."""

    valid: bool
    reasons: list[Reason] = Field(default_factory=list)


class StepInfo(_Part):
    """One rate of a climb on one backend, with the generator's health meanwhile.

    Seconds count from the run's start; the calls that ended from `measure_from_s` to `end_s` are
    the step's. `unfinished` calls were under way or waiting for a user at its end. `validity` is
    None until something was measured.
    """

    backend: str
    rate_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    begin_s: Seconds
    measure_from_s: Seconds
    end_s: Seconds
    offered: Count = 0
    queued: Count = 0
    unfinished: Count = 0
    errors: dict[str, Count] = Field(default_factory=dict)
    generator_cpu: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    signals: list[dict[str, Any]] = Field(default_factory=list)
    validity: Validity | None = None


class RunInfo(_Part):
    """run.json."""

    schema_version: Annotated[int, Field(strict=True, ge=1)] = SCHEMA
    id: str
    scenario: str
    state: Literal["running", "complete", "interrupted"]
    started_at: str
    duration_s: Seconds = 0.0
    warm_up_s: Seconds = 0.0
    config: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    targets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    series: list[SeriesInfo] = Field(default_factory=list)
    steps: list[StepInfo] = Field(default_factory=list)
    health: dict[str, Any] = Field(default_factory=dict)
    validity: Validity | None = None
    verdict: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A series and one of its three times; the log's tag."""

    backend: str
    driver: str
    pattern: str
    metric: str

    @property
    def tag(self) -> str:
        """`backend/driver/pattern/metric`."""
        return f"{self.backend}/{self.driver}/{self.pattern}/{self.metric}"

    @classmethod
    def parse(cls, tag: str) -> Key:
        """Read a tag. Raises ValueError."""
        parts = tag.split("/")
        if len(parts) != 4:
            raise ValueError(f"tag {tag!r} is not backend/driver/pattern/metric")
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Interval:
    """One second of one series: seconds since the run's start, length, counts."""

    start_s: float
    length_s: float
    counts: Sparse


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read whole."""

    path: Path
    info: RunInfo
    intervals: dict[Key, list[Interval]]
    warm_up: dict[Key, list[Interval]]

    def total(self, key: Key) -> Histogram:
        """The measured part of one series, merged."""
        histogram = Histogram()
        for interval in self.intervals.get(key, []):
            histogram.add(interval.counts)
        return histogram


def read_run(path: Path) -> Run:
    """Read a run folder (or `latest`). Raises ResultsError naming the file and field at fault."""
    info = read_info(path)
    intervals = _read_intervals(path / "latency.hlog")
    warm_up_log = path / "warm-up.hlog"
    warm_up = _read_intervals(warm_up_log) if warm_up_log.exists() else {}
    return Run(path.resolve(), info, intervals, warm_up)


def read_info(path: Path) -> RunInfo:
    """run.json alone. Raises ResultsError."""
    missing = ResultsError(
        f"{path} is not a run folder: it has no run.json.",
        hint="Name a folder under results/, or results/latest.",
    )
    return read_record(path / "run.json", RunInfo, SCHEMA, missing)


def write_info(path: Path, info: RunInfo) -> None:
    """Replace run.json atomically."""
    text = info.model_dump_json(indent=2, by_alias=True) + "\n"
    handle, name = tempfile.mkstemp(dir=path, prefix=".run-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path / "run.json")
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def summarise(histogram: Histogram) -> Times | None:
    """Percentiles in milliseconds, or None when nothing was recorded."""
    if not histogram.total:
        return None
    values = histogram.quantiles_ns([*PERCENTILES.values(), 1.0])
    names = [*PERCENTILES, "max"]
    return Times.model_validate({n: v / 1e6 for n, v in zip(names, values, strict=True)})


def _read_intervals(path: Path) -> dict[Key, list[Interval]]:
    by_tag: dict[str, list[Interval]] = {}
    for line in hlog.read_log(path):
        interval = Interval(line.start_s, line.length_s, line.counts)
        by_tag.setdefault(line.tag, []).append(interval)
    try:
        return {Key.parse(tag): intervals for tag, intervals in by_tag.items()}
    except ValueError as error:
        raise ResultsError(f"{path}: {error}.") from None
