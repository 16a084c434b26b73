"""The run folder: every model of run.json, and how a run folder is read.

::

    results/<UTC time>-<scenario>-<id>/
        run.json       `RunInfo`: settings, machine, summaries per series, health, validity, verdict
        latency.hlog   one line per second and series, Tag=backend/driver/pattern/metric, in ns
        undisturbed.hlog  the part of latency.hlog that no stall of the machine can have touched
        warm-up.hlog   the same for the excluded warm-up
        health.csv     one row per second and worker
        stalls.csv     one row per stall of the machine
    results/latest     symbolic link to the newest

Writers fill these models and readers use them; nobody parses run.json in another way. The file has
`schema_version` 2. Version 1 is upgraded on reading (`schema_v1.py`).

The verdict stores `low` and `high` of each limit, the bounds that were decided on: PASS when `high`
is within the limit (each at `level`: a run passes only when all limits do, so none needs a
correction), FAIL when `low` is beyond it (Holm over all limits of the run, so that all false FAILs
together have that level). `estimates` holds plain two-sided intervals for tables and charts. A
bound that the sample is too small for is null, and `needed_calls` then says how many calls it
takes; otherwise it is null. docs/decisions/verdict.md has the reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)

from loadtests.atomic_files import write_atomically
from loadtests.config import Gate, SettingsOrigin, Slo
from loadtests.errors import (
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_INVALID,
    EXIT_PASS,
    ResultsError,
)
from loadtests.measure import hlog
from loadtests.measure.health.signals import Signal
from loadtests.measure.histogram import Histogram
from loadtests.measure.hlog import Interval
from loadtests.measure.schema_v1 import upgraded
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stored_files import followed, read_record
from loadtests.patterns import METRICS

SCHEMA: Final = 2
# what reads a log has an entry for each second from its first to its last
_LONGEST_GAP_S: Final = 86_400
_MOST_EMPTY: Final = 100  # seconds without calls for each with calls
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

# Bounds that no run reaches: within them, sums and logarithms of figures stay finite.
LARGEST_FIGURE: Final = 1e15
MOST_CALLS: Final = 1 << 53  # a float holds such counts exactly
Figure = Annotated[float, Field(ge=-LARGEST_FIGURE, le=LARGEST_FIGURE, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST_FIGURE, allow_inf_nan=False)]
Milliseconds = NonNegative
Seconds = NonNegative
Units = NonNegative
PerSecond = Annotated[float, Field(ge=1e-9, le=LARGEST_FIGURE, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1e-15, le=LARGEST_FIGURE, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MOST_CALLS)]

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]
LimitKind = Literal["absolute", "relative", "error_rate"]
Unit = Literal["ms", "ratio", "share"]
Outcome = Literal["WITHIN", "SLOWER", "UNDECIDED", ""]
Direction = Literal["slower", "faster", ""]
Basis = Literal["all", "undisturbed"]
RuledOut = Literal["every verdict", "FAIL"]
Bottleneck = Literal["database", "generator", "undecided", "nothing"]

EXIT_CODES: Final[dict[Status, int]] = {
    "PASS": EXIT_PASS,
    "FAIL": EXIT_FAIL,
    "INCONCLUSIVE": EXIT_INCONCLUSIVE,
    "INVALID": EXIT_INVALID,
}
RATIO: Final = "_ratio"  # ends the `statistic` of a relative limit
ERROR_RATE: Final = "error_rate"  # the `statistic` of a limit on failed calls


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
        if len(parts) != 4 or not all(parts):
            raise ValueError(f"tag {tag!r} is not backend/driver/pattern/metric")
        if parts[3] not in METRICS:
            raise ValueError(f"tag {tag!r} has none of the metrics {', '.join(METRICS)}")
        return cls(*parts)


class _Part(BaseModel):
    """A part of run.json. Fields of later versions are ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, allow_inf_nan=False)


class _Conditions(_Part):
    """What decides whether runs may be compared.

    Fields of later versions are kept, because a condition that this version does not know must
    still be compared.
    """

    model_config = ConfigDict(extra="allow")

    def as_conditions(self) -> dict[str, object]:
        """Every condition that is set, as plain data."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class _Derived(_Part):
    """A part that also stores properties which follow from its fields, for other readers."""

    model_config = ConfigDict(frozen=True)
    derived: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _with_derived(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        stored: dict[str, object] = handler(self)
        return stored | {name: getattr(self, name) for name in self.derived}


# --- what was measured


class Times(_Part):
    """Percentiles of one metric, in milliseconds."""

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds
    p999: Annotated[Milliseconds, Field(alias="p99.9")]
    max: Milliseconds


class ConsumedCapacity(_Part):
    """Capacity units that DynamoDB charged per call, averaged over calls of the warm-up."""

    rcu_per_op: Units | None = None
    wcu_per_op: Units | None = None


class UndisturbedCalls(_Part):
    """The calls of a series that no stall of the machine can have touched."""

    count: Count
    response_time_ms: Times | None = None
    service_time_ms: Times | None = None
    wire_time_ms: Times | None = None


class SeriesInfo(_Part):
    """One backend, driver and access pattern over the measured part of the run.

    `count` includes failed and unfinished calls, and so do the percentiles. Times are None when
    nothing was measured. Micro-benchmarks add the client's CPU time per call and the share of the
    service time that the client library takes (0 to 1).
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
    capacity: ConsumedCapacity | None = None
    client_cpu_ms: Milliseconds | None = None
    sdk_share: NonNegative | None = None
    undisturbed: UndisturbedCalls | None = None

    def key(self, metric: str) -> Key:
        """The key of one of its times."""
        return Key(self.backend, self.driver, self.pattern, metric)

    def times(self, metric: str) -> Times | None:
        """The percentiles of `response_time`, `service_time` or `wire_time`."""
        by_metric = {
            "response_time": self.response_time_ms,
            "service_time": self.service_time_ms,
            "wire_time": self.wire_time_ms,
        }
        return by_metric[metric]


class Reason(_Part):
    """Why a run is invalid: the rule, the finding in words, and the remedy.

    A generator that only adds delay rules out FAIL: a limit that is met in spite of it is met.
    """

    rule: str
    found: str
    remedy: str
    rules_out: RuledOut = "every verdict"


class Validity(_Part):
    """Whether the load generator can have distorted the run."""

    valid: bool
    reasons: list[Reason] = Field(default_factory=list)


class HealthInfo(_Part):
    """The load generator's health over the run."""

    signals: list[Signal] = Field(default_factory=list)


class StallInfo(_Part):
    """Stalls of the machine in the measured part of a run: time in which a CPU ran no process.

    `meter` is the kind of hiccup meter (measure/stalls); `before_ms`, `after_ms` and `min_used_ms`
    are the rules of the release: a call is left out when a stall of at least `min_used_ms` touches
    the window from `before_ms` before to `after_ms` after its intended start. `dead_time` is the
    share of the measured time that such windows cover, `left_out` the share of the calls.
    `unclassified` of these calls were left out because the meters said too late whether there was a
    stall. `throttled_ms` is how long the control group's CPU limit held the processes back; that
    is never excused. None: not known.
    """

    meter: MeterKind
    before_ms: Milliseconds
    after_ms: Milliseconds
    min_used_ms: Milliseconds
    stalls: Count = 0
    used: Count = 0
    longest_ms: Milliseconds = 0.0
    total_ms: Milliseconds = 0.0
    dead_time: NonNegative = 0.0
    left_out: NonNegative = 0.0
    unclassified: Count = 0
    throttled_ms: Milliseconds | None = None


class RehearsalInfo(_Part):
    """Calls made at full speed before time 0, which are in no figure: by backend, in `seconds`."""

    calls: dict[str, Count]
    seconds: Seconds


class StepInfo(_Part):
    """One rate of a capacity run on one backend, with the generator's health meanwhile.

    Seconds count from the run's start; the calls that ended from `measure_from_s` to `end_s` are
    the step's. `unfinished` calls were under way or waiting for a user at its end. `validity` is
    None until something was measured.
    """

    backend: str
    rate_per_s: PerSecond
    begin_s: Seconds
    measure_from_s: Seconds
    end_s: Seconds
    offered: Count = 0
    queued: Count = 0
    unfinished: Count = 0
    errors: dict[str, Count] = Field(default_factory=dict)
    generator_cpu: NonNegative | None = None
    signals: list[Signal] = Field(default_factory=list)
    validity: Validity | None = None


class MonotonicClock(_Part):
    """When load began and ended by the machine's monotonic clock, in nanoseconds."""

    origin: int
    end: int


# --- what was set, and on what the run ran


class LoadSettings(_Conditions):
    """The load of a run, as set. Micro-benchmarks only have a seed."""

    backend: str | None = None
    driver: str | None = None
    rate: PerSecond | None = None
    arrivals: str | None = None
    warm_up: Seconds | None = None
    run_time: Seconds | None = None
    seed: int | None = None
    zipf_exponent: NonNegative | None = None
    subjects: str | None = None
    blocks: Count | None = None


class DataSettings(_Conditions):
    """How much data was seeded."""

    users: Count | None = None
    books: Count | None = None
    lines_per_cart: Count | None = None


class AlternationBlock(_Part):
    """The time in which one of two alternating subjects was called, in seconds from the start."""

    subject: str
    start_s: Annotated[float, Field(ge=0, le=1e7)]
    end_s: Annotated[float, Field(ge=0, le=1e7)]

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.end_s <= self.start_s:
            raise ValueError("a block must end after it starts")
        return self


def _foreign(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """None for limits that this version does not know: they are only shown."""
    try:
        return handler(value)
    except ValidationError:
        return None


StoredSlo = Annotated[Slo | None, WrapValidator(_foreign)]
StoredGate = Annotated[Gate | None, WrapValidator(_foreign)]


class RunConfig(_Conditions):
    """The settings of a run that a reader needs; no DSN among them.

    `blocks` is the plan of two alternating subjects. `patterns` are the access patterns as the
    scenario declares them, in order, and `served` those that each subject (`backend/driver`) had to
    measure; runs before version 0.3 have neither. Micro-benchmarks have only `patterns`, which
    every backend must have measured. `slo` and `gate` are the limits and the
    rules of judging that were in force when the run was made, and `limits_from` is where they came
    from; older runs store the limits with the verdict alone.
    """

    data: DataSettings = Field(default_factory=DataSettings)
    load: LoadSettings = Field(default_factory=LoadSettings)
    users: Count | None = None
    run_time_s: Seconds | None = None
    workers: Count | None = None
    blocks: list[AlternationBlock] | None = None
    patterns: list[str] | None = None
    served: dict[str, list[str]] | None = None
    slo: StoredSlo = None
    gate: StoredGate = None
    limits_from: SettingsOrigin | None = None


class EnvironmentInfo(_Conditions):
    """Machine, kernel and versions. Nothing that names the machine or its user.

    `effective_cpus` are those that the run could use: `cores`, less what a container or the CPU
    affinity does not allow (0.5: half a CPU). Runs before version 0.3 do not have it.
    """

    cpu: str | None = None
    cores: Count | None = None
    effective_cpus: NonNegative | None = None
    memory_gib: NonNegative | None = None
    system: str | None = None
    kernel: str | None = None
    python: str | None = None
    loadtests: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)
    generator_scheduling: str | None = None


class TargetInfo(_Conditions):
    """Where one backend ran.

    `where` is `embedded` (started by this harness on the same machine), `aws` or `url`. `url` is
    the address without user and password; `aws` for AWS's own endpoint of the region.
    """

    label: str = ""
    where: Literal["embedded", "aws", "url"] | None = None
    version: str | None = None
    url: str | None = None
    emulator: bool = False
    region: str | None = None


# --- what it means


class Bounds(_Part):
    """An estimate with the bounds that decide, in the unit of its limit."""

    model_config = ConfigDict(frozen=True)

    estimate: Figure
    low: Figure | None
    high: Figure | None
    calls: Count


class LimitVerdict(_Derived):
    """One limit of one series, decided. `low`, `high`, `limit` and `estimate` are in `unit`.

    They are those of the calls that `basis` names. `all_calls` and `undisturbed` have both sets,
    where the run's stalls were measured. `percentile` is None for an error rate. `decides` is false
    for a relative limit of a single pattern where one over all patterns is judged: INCONCLUSIVE, it
    does not leave the run so. `in_this_run` is the share of the calls beyond the limit with its
    exact bounds, where that decides a FAIL. `direction` is that of a significant change, where two
    subjects of the run were compared.
    """

    derived = ("statistic", "unit")

    backend: str
    driver: str
    pattern: str
    metric: str
    kind: LimitKind
    percentile: str | None
    limit: float
    estimate: Figure
    low: Figure | None
    high: Figure | None
    calls: Count
    needed_calls: Count | None
    status: Status
    sentence: str
    decides: bool = True
    basis: Basis = "all"
    all_calls: Bounds | None = None
    undisturbed: Bounds | None = None
    in_this_run: Bounds | None = None
    direction: Direction = ""

    @property
    def key(self) -> Key:
        """The series and time that the limit applies to."""
        return Key(self.backend, self.driver, self.pattern, self.metric)

    @property
    def statistic(self) -> str:
        """`p99`, `p99_ratio` or `error_rate`."""
        return statistic_of(self.kind, self.percentile)

    @property
    def unit(self) -> Unit:
        """`ms`, `ratio` (to the baseline) or `share` (of the calls)."""
        return UNITS[self.kind]


class PercentileEstimate(_Part):
    """One percentile of one series with its two-sided interval, in milliseconds."""

    model_config = ConfigDict(frozen=True)

    backend: str
    driver: str
    pattern: str
    metric: str
    percentile: str
    estimate_ms: Milliseconds
    low_ms: Milliseconds | None
    high_ms: Milliseconds | None
    calls: Count
    needed_calls: Count | None

    @property
    def key(self) -> Key:
        """The series and time that the estimate is of."""
        return Key(self.backend, self.driver, self.pattern, self.metric)


class BaselineReference(_Part):
    """What the relative limits were judged against.

    `refused` lists the fields in which the baseline differs from the run, where it was not used.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    runs: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class Verdict(_Derived):
    """The verdict on a run.

    `level` is the probability of a wrong decision that this analysis may spend, `needed_s` the
    measured seconds that would decide an INCONCLUSIVE run, `reasons` why a run is INVALID, and
    `slo` the limits that the run was judged by (None where it was not judged by any). `limits_from`
    is where they came from. `not_judged` are limits on what the run did not call.
    """

    derived = ("exit_code", "counts")

    status: Status
    sentence: str
    confidence: Annotated[float, Field(gt=0, lt=1)]
    level: Annotated[float, Field(gt=0, lt=1)]
    needed_s: Seconds | None = None
    reasons: tuple[str, ...] = ()
    baseline: BaselineReference | None = None
    slo: StoredSlo = None
    limits_from: SettingsOrigin | None = None
    not_judged: tuple[str, ...] = ()
    limits: tuple[LimitVerdict, ...] = ()
    estimates: tuple[PercentileEstimate, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
        return EXIT_CODES[self.status]

    @property
    def metric(self) -> str:
        """The time that most of the run was judged by; `response_time` where none was."""
        metrics = Counter(limit.metric for limit in self.limits)
        metrics.update(estimate.metric for estimate in self.estimates)
        return max(metrics, key=lambda metric: metrics[metric], default="response_time")

    @property
    def counts(self) -> dict[str, int]:
        """The number of limits by status."""
        return dict(Counter(limit.status for limit in self.limits))


class PercentileRatio(_Part):
    """`subject` over `reference` for one percentile of one access pattern.

    `low` and `high` are a two-sided interval, None where the sample is too small for a bound.
    `outcome` is empty where no growth limit applies. `direction` is that of a significant change.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    reference: str
    pattern: str
    metric: str
    percentile: str
    subject_ms: Milliseconds
    reference_ms: Milliseconds
    ratio: Ratio
    low: NonNegative | None
    high: NonNegative | None
    subject_calls: Count
    reference_calls: Count
    outcome: Outcome = ""
    direction: Direction = ""


class HeadToHead(_Part):
    """DynamoDB against PostgreSQL within one run, at `confidence`.

    `basis` says which calls were compared, on both sides. `problem` says why they could not be
    compared.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    confidence: Annotated[float, Field(gt=0, lt=1)]
    basis: Basis = "all"
    ratios: tuple[PercentileRatio, ...] = ()
    problem: str = ""


class JudgedStep(_Part):
    """A step of a capacity run and its verdict. Rates in 1/s; None where there is no such figure.

    `run` names the run that the step was measured in, where that is another one. `beyond` and
    `queued` are shares of the calls, `generator_cpu` of a core. `sustained` says whether the
    offered load was completed, `overloaded` whether the step failed by a wide margin. The p50, the
    p99 and `beyond` are of the calls that `basis` names; `left_out` is the share of the calls that
    a stall of the machine may have touched, None where stalls were not measured.
    """

    model_config = ConfigDict(frozen=True)

    backend: str
    driver: str
    rate_per_s: PerSecond
    achieved_per_s: NonNegative
    seconds: Count
    calls: Count
    limit_ms: Milliseconds | None
    p50_ms: Milliseconds | None
    p99_ms: Milliseconds | None
    p99_low_ms: Milliseconds | None
    p99_high_ms: Milliseconds | None
    beyond: NonNegative
    queued: NonNegative
    unfinished: Count
    errors: Count
    generator_cpu: NonNegative | None
    sustained: bool
    overloaded: bool
    verdict: Status
    sentence: str
    run: str = ""
    basis: Basis = "all"
    left_out: NonNegative | None = None
    all_calls_p99_ms: Milliseconds | None = None


class CapacityAnswer(_Part):
    """One backend's capacity run in short. Rates in 1/s; None where no step shows one.

    `max_sustained_per_s` is the highest rate within the limits, `min_failed_per_s` the lowest rate
    above it that failed. `knee_per_s` has the highest power (Kleinrock, ICC 1979): throughput over
    p99. `bottleneck` is what ended the ramp.
    """

    model_config = ConfigDict(frozen=True)

    backend: str
    status: Status
    max_sustained_per_s: PerSecond | None
    min_failed_per_s: PerSecond | None
    knee_per_s: PerSecond | None
    bottleneck: Bottleneck
    sentence: str


class CapacityRun(_Part):
    """The steps of a capacity run, each judged by itself, and one answer per backend."""

    model_config = ConfigDict(frozen=True)

    confidence: Annotated[float, Field(gt=0, lt=1)]
    steps: tuple[JudgedStep, ...] = ()
    answers: tuple[CapacityAnswer, ...] = ()


# --- micro-benchmarks


class IterationPlan(_Part):
    """How many iterations of each benchmark of a suite were measured, and warmed up with."""

    measured: Count
    warm_up: Count


class MachineSpeed(_Part):
    """Median times of the reference workload and of a loopback round trip during one suite."""

    work_ms: Milliseconds
    round_trip_ms: Milliseconds


class ResultRow(_Part):
    """One benchmark's figures; times in milliseconds, None where the sample is too small.

    `cpu_ms` is the client's mean CPU time per call, `sdk_share` 0 to 1; `limit_ms` is the upper
    limit on the p50 of a benchmark of the harness itself.
    """

    model_config = ConfigDict(frozen=True)

    suite: str
    group: str
    name: str
    backend: str
    driver: str
    pattern: str
    iterations: Count
    errors: dict[str, Count] = Field(default_factory=dict)
    p50_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    p99_low_ms: Milliseconds | None = None
    p99_high_ms: Milliseconds | None = None
    mean_ms: Milliseconds | None = None
    cpu_ms: Milliseconds | None = None
    wire_ms: Milliseconds | None = None
    sdk_share: NonNegative | None = None
    limit_ms: Milliseconds | None = None


class MicroInfo(_Part):
    """The micro-benchmarks of a run, by suite."""

    iterations: dict[str, IterationPlan] = Field(default_factory=dict)
    machine: dict[str, MachineSpeed] = Field(default_factory=dict)
    rows: list[ResultRow] = Field(default_factory=list)


class ScenarioError(_Part):
    """The first error of its kind that a scenario's own code raised, with the place of it."""

    pattern: str
    backend: str
    name: str
    message: str = ""
    place: str = ""
    trace: str = ""
    is_programming_error: bool = False


class SubjectInfo(_Part):
    """A subject that was called by a process of its own.

    `tree` is the folder whose modules came first, as it was given. `commit` is that of its Git
    checkout, and `modified` says whether tracked files of it differed; None where it is no
    checkout, or Git is missing. `packages` are the versions of the database clients. A subject that
    is not `judged` is only compared with: no limit of `[slo]` applies to its series.
    """

    name: str
    backend: str
    client: str
    tree: str = ""
    commit: str | None = None
    modified: bool | None = None
    judged: bool = True
    python: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)


class RunInfo(_Part):
    """run.json. Top-level fields of later versions are kept when the file is written again."""

    model_config = ConfigDict(extra="allow")

    schema_version: Annotated[int, Field(strict=True, ge=1)] = SCHEMA
    id: str
    scenario: str
    state: Literal["running", "complete", "interrupted"]
    started_at: str
    duration_s: Seconds = 0.0
    warm_up_s: Seconds = 0.0
    config: RunConfig = Field(default_factory=RunConfig)
    environment: EnvironmentInfo = Field(default_factory=EnvironmentInfo)
    targets: dict[str, TargetInfo] = Field(default_factory=dict)
    series: list[SeriesInfo] = Field(default_factory=list)
    scenario_errors: list[ScenarioError] = Field(default_factory=list)
    steps: list[StepInfo] = Field(default_factory=list)
    health: HealthInfo = Field(default_factory=HealthInfo)
    stalls: StallInfo | None = None
    validity: Validity | None = None
    verdict: Verdict | None = None
    head_to_head: HeadToHead | None = None
    monotonic_ns: MonotonicClock | None = None
    capacity_run: CapacityRun | None = None
    micro: MicroInfo | None = None
    rehearsal: RehearsalInfo | None = None
    subjects: list[SubjectInfo] = Field(default_factory=list)

    @model_validator(mode="after")
    def _series_occur_once(self) -> Self:
        places = Counter((each.backend, each.driver, each.pattern) for each in self.series)
        for place, times in places.items():
            if times > 1:
                raise ValueError(f"series {'/'.join(place)} occurs {times} times")
        return self


UNITS: Final[Mapping[LimitKind, Unit]] = {
    "absolute": "ms",
    "relative": "ratio",
    "error_rate": "share",
}


def statistic_of(kind: LimitKind, percentile: str | None) -> str:
    """`p99`, `p99_ratio` or `error_rate`: the kind and percentile of a limit in one word."""
    if kind == "error_rate" or percentile is None:
        return ERROR_RATE
    return percentile + RATIO if kind == "relative" else percentile


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read whole.

    `undisturbed` holds the calls of `intervals` that no stall can have touched; None where stalls
    were not measured.
    """

    path: Path
    info: RunInfo
    intervals: dict[Key, list[Interval]]
    warm_up: dict[Key, list[Interval]]
    undisturbed: dict[Key, list[Interval]] | None = None

    def total(self, key: Key) -> Histogram:
        """The measured part of one series, merged."""
        histogram = Histogram()
        for interval in self.intervals.get(key, []):
            histogram.add(interval.counts)
        return histogram


def read_run(path: Path) -> Run:
    """Read a run folder (or `latest`). Raises ResultsError naming the file and field at fault."""
    path = followed(path)
    info = read_info(path)
    intervals = _read_intervals(path / "latency.hlog")
    warm_up_log = path / "warm-up.hlog"
    warm_up = _read_intervals(warm_up_log) if warm_up_log.exists() else {}
    undisturbed_log = path / "undisturbed.hlog"
    measured = info.stalls and undisturbed_log.exists()
    undisturbed = _read_intervals(undisturbed_log) if measured else None
    return Run(path.resolve(), info, intervals, warm_up, undisturbed)


def read_info(path: Path) -> RunInfo:
    """run.json alone. Raises ResultsError."""
    missing = ResultsError(
        f"{path} is not a run folder: it has no run.json.",
        hint="Name a folder under results/, or results/latest.",
    )
    return read_record(followed(path) / "run.json", RunInfo, SCHEMA, missing, upgrade=upgraded)


def write_info(path: Path, info: RunInfo) -> None:
    """Replace run.json atomically."""
    text = info.model_dump_json(indent=2, by_alias=True) + "\n"
    write_atomically(path / "run.json", text.encode())


def summarise(histogram: Histogram) -> Times | None:
    """Percentiles in milliseconds, or None when nothing was recorded."""
    if not histogram.total:
        return None
    values = histogram.quantiles_ns([*PERCENTILES.values(), 1.0])
    names = [*PERCENTILES, "max"]
    return Times.model_validate({n: v / 1e6 for n, v in zip(names, values, strict=True)})


def _read_intervals(path: Path) -> dict[Key, list[Interval]]:
    by_tag: dict[str, list[Interval]] = {}
    seconds: set[int] = set()
    for tag, interval in hlog.read_log(path):
        by_tag.setdefault(tag, []).append(interval)
        seconds.add(int(interval.start_s))
    if seconds and max(seconds) - min(seconds) > _LONGEST_GAP_S + _MOST_EMPTY * len(seconds):
        raise ResultsError(
            f"{path} has {len(seconds):,} seconds with calls between second {min(seconds):,} and "
            f"second {max(seconds):,}: its times are damaged.",
            hint="Take the run folder from its source again, or repeat the run.",
        )
    try:
        return {Key.parse(tag): intervals for tag, intervals in by_tag.items()}
    except ValueError as error:
        raise ResultsError(f"{path}: {error}.") from None
