"""Synthetic run folders for tests of judge and report, written by the writers of real runs.

Latencies are lognormal around each series' median with a slow tail, multiplied by a factor per
second that drifts (log-AR(1), partly shared by a backend's series), so that neighbouring calls
resemble each other as they do in real runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.measure.environment import describe_environment, describe_targets
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.validity import judge_validity
from loadtests.measure.histogram import Sparse
from loadtests.measure.merger import Merger
from loadtests.measure.results import (
    Run,
    RunConfig,
    RunInfo,
    Status,
    Verdict,
    read_run,
    write_info,
)
from loadtests.measure.run_folder import RunFolderWriter
from loadtests.measure.series import CapacityTotals, SeriesName, SeriesPart
from loadtests.measure.stalls.record import StallRow
from loadtests.measure.stalls.seconds import ClassifiedSecond, StallSecond, StallTotals
from loadtests.patterns import CLOUDSHELF_PATTERNS
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

STARTED_AT: Final = "2026-03-02T09:30:00Z"
STARTED_AT_S: Final = 1_772_443_800.0
DRIVERS: Final = {"dynamodb": "wire", "postgres": "psycopg"}
WORKER: Final = "generator"
ENDPOINTS: Final = Endpoints(
    DynamoDBEndpoint(
        "http://127.0.0.1:4000",
        label="DynamoDB Local 1.25.1 (embedded)",
        version="1.25.1",
        embedded=True,
    ),
    PostgresEndpoint(
        "postgresql://127.0.0.1:5000/x",
        label="PostgreSQL 18.0 (embedded)",
        version="18.0",
        embedded=True,
    ),
)

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Nanoseconds = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class MadeSeries:
    """How one series answers: median in milliseconds, spread, tail and drift."""

    backend: str = "dynamodb"
    driver: str = "wire"
    pattern: str = "cart.get"
    median_ms: float = 2.0
    sigma: float = 0.35
    tail_share: float = 0.015
    tail_factor: float = 2.5
    rate_per_s: float = 50.0
    drift: float = 0.15  # standard deviation of the log of the factor
    correlation: float = 0.8  # of the drift, from one second to the next
    shared: float = 0.5  # share of the drift's variance that a backend's series have in common
    error_share: float = 0.0
    error_name: str = "CallTimeout"


def made_series(
    patterns: Sequence[str] = CLOUDSHELF_PATTERNS,
    drivers: Mapping[str, str] = DRIVERS,
    **changes: Any,
) -> list[MadeSeries]:
    """Every pattern on every backend, medians 1.2 to 2.8 ms; `changes` apply to all."""
    series = []
    for b, (backend, driver) in enumerate(drivers.items()):
        for p, pattern in enumerate(patterns):
            median = 1.2 + 0.17 * p + (0.25 if b else 0.0)
            one = MadeSeries(backend, driver, pattern, median_ms=median)
            series.append(replace(one, **changes))
    return series


def write_run(
    path: Path,
    *,
    series: Sequence[MadeSeries] | None = None,
    seconds: int = 30,
    warm_up_s: int = 3,
    seed: int = 1,
    scenario: str = "storefront",
    state: str = "complete",
    valid: bool | None = True,
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    verdict: Verdict | None = None,
    started_at: str = STARTED_AT,
    stalls: Sequence[StallRow] | None = None,
) -> Run:
    """Write a run folder at `path` and read it back.

    `config` and `environment` replace fields of what a run records. The generator was too slow
    where `valid` is false; `valid=None` is a run that ended before its health was judged.
    Each stall in `stalls` leaves out half of the calls of its second; None: not measured.
    """
    series = made_series() if series is None else list(series)
    info = RunInfo(
        id=path.name,
        scenario=scenario,
        state="running",
        started_at=started_at,
        warm_up_s=float(warm_up_s),
        config=RunConfig.model_validate(
            _config(series, seconds, warm_up_s, seed) | dict(config or {})
        ),
        environment=describe_environment().model_copy(update=dict(environment or {})),
        targets=describe_targets(_endpoints(series).described()),
    )
    writer = RunFolderWriter(path, info, STARTED_AT_S)
    merger = Merger([WORKER])
    evidence = GeneratorEvidence()
    rng = np.random.default_rng(seed)
    parts = _parts(series, seconds, warm_up_s, rng)
    totals = StallTotals()
    if stalls is not None:
        disturbed = {int(stall.start_s) for stall in stalls if stall.used}
        parts = [
            [_classified(part, disturbed=second in disturbed) for part in parts_of_second]
            for second, parts_of_second in enumerate(parts)
        ]
        writer.add_stalls(list(stalls))
    for second in range(warm_up_s + seconds):
        for part in parts[second]:
            merger.add(second, part)
        row = _health_row(second, warm_up_s, parts[second], rng)
        writer.add_health(row)
        if not row.warm_up:
            evidence.add(row, _delays(late=valid is False))
            if stalls is not None:
                totals.add(_stall_second(second, row, parts[second], stalls))
        for merged in merger.close(second, WORKER, float(second), 1.0):
            writer.add(merged, [], [], None)
    writer.info.stalls = totals.summary(merger.summaries())
    writer.finish(state, merger.summaries(), *judge_validity(evidence, merger.summaries()))
    info = writer.info.model_copy(update={"verdict": verdict})
    if valid is None:
        info = info.model_copy(update={"validity": None})
    write_info(path, info)
    return read_run(path)


def made_stalls(starts_s: Sequence[float], length_ms: float = 4.0) -> list[StallRow]:
    """Stalls that are used."""
    return [
        StallRow(WORKER, cpu=0, start_s=s, length_ms=length_ms, meter="realtime", used=True)
        for s in starts_s
    ]


def _classified(part: SeriesPart, *, disturbed: bool) -> SeriesPart:
    undisturbed = {
        metric: Sparse(counts.index[::2], counts.counts[::2]) if disturbed else counts
        for metric, counts in part.counts.items()
    }
    return replace(part, undisturbed=undisturbed)


def _stall_second(
    second: int, row: HealthRow, parts: list[SeriesPart], stalls: Sequence[StallRow]
) -> ClassifiedSecond:
    rows = [stall for stall in stalls if int(stall.start_s) == second]
    dead_s = sum(0.015 + stall.length_ms / 1e3 for stall in rows)
    return ClassifiedSecond(
        index=second,
        row=row,
        parts=parts,
        delays=_delays(late=False),
        stalls=StallSecond(meter="realtime", rows=rows, dead_s=dead_s, unclassified=0),
    )


def made_verdict(status: Status, **changes: Any) -> Verdict:
    """A verdict without limits."""
    verdict = Verdict(status=status, sentence=f"{status}.", confidence=0.95, level=0.05)
    return verdict.model_copy(update=changes)


def _parts(
    series: Sequence[MadeSeries], seconds: int, warm_up_s: int, rng: np.random.Generator
) -> list[list[SeriesPart]]:
    """What each series contributes to each second."""
    total = warm_up_s + seconds
    backends = sorted({made.backend for made in series})
    shared = {backend: _drift(rng, total, correlation=0.8) for backend in backends}
    parts: list[list[SeriesPart]] = [[] for _ in range(total)]
    for made in series:
        own = _drift(rng, total, correlation=made.correlation)
        common = shared[made.backend]
        noise = np.sqrt(made.shared) * common + np.sqrt(1 - made.shared) * own
        for second in range(total):
            warm_up = second < warm_up_s
            times = _one_second(made, float(noise[second]), warm_up, rng)
            calls = times["service_time"].size
            failed = 0 if warm_up else int(rng.binomial(calls, made.error_share))
            parts[second].append(
                SeriesPart(
                    SeriesName(made.backend, made.driver, made.pattern),
                    warm_up,
                    {metric: Sparse.of(values) for metric, values in times.items()},
                    errors={made.error_name: failed} if failed else {},
                    capacity=_capacity(made, calls, warm_up),
                )
            )
    return parts


def _capacity(made: MadeSeries, calls: int, warm_up: bool) -> CapacityTotals:
    asks = warm_up and made.backend == "dynamodb"
    return CapacityTotals(calls, 0.5 * calls, 1.0 * calls) if asks else CapacityTotals()


def _health_row(
    second: int, warm_up_s: int, parts: Sequence[SeriesPart], rng: np.random.Generator
) -> HealthRow:
    return HealthRow(
        worker=WORKER,
        time_s=float(second),
        length_s=1.0,
        warm_up=second < warm_up_s,
        offered=sum(part.counts["response_time"].total for part in parts),
        queued=0,
        behind_ms=0.0,
        users=32,
        free_users_min=20,
        in_flight=int(rng.poisson(2)),
        invalid_responses=0,
        dispatch_delay_p50_ms=0.1,
        dispatch_delay_p99_ms=0.4,
        dispatch_delay_max_ms=0.8,
        heartbeat_delay_max_ms=0.9,
        event_loop_stall_ms=0.0,
        gc_pauses=0,
        gc_paused_ms=0.0,
        gc_pause_max_ms=0.0,
        process_cpu=0.45 + 0.1 * rng.random(),
        host_cpu=0.5,
        host_steal=0.0,
        pressure_cpu=0.0,
        cpu_wait=0.0,
    )


def _delays(*, late: bool) -> GeneratorDelays:
    """A second's dispatch delays and event-loop delays."""
    dispatch_ns = np.full(100, 14_200_000 if late else 100_000, np.int64)
    return GeneratorDelays(Sparse.of(dispatch_ns), Sparse.of(np.full(100, 50_000, np.int64)))


def _drift(rng: np.random.Generator, seconds: int, *, correlation: float) -> Floats:
    """A standard AR(1) path with `correlation` between neighbours."""
    path = np.empty(seconds)
    state = rng.normal()
    for second in range(seconds):
        path[second] = state
        state = correlation * state + np.sqrt(1 - correlation * correlation) * rng.normal()
    return path


def _one_second(
    made: MadeSeries, noise: float, warming: bool, rng: np.random.Generator
) -> dict[str, Nanoseconds]:
    calls = int(rng.poisson(made.rate_per_s))
    factor = np.exp(made.drift * noise) * (1.8 if warming else 1.0)
    wire = made.median_ms * factor * np.exp(made.sigma * rng.normal(size=calls))
    wire = np.where(rng.random(calls) < made.tail_share, wire * made.tail_factor, wire)
    service = wire + 0.05 + rng.exponential(0.01, calls)
    response = service + rng.exponential(0.04, calls)
    return {
        "response_time": (response * 1e6).astype(np.int64),
        "service_time": (service * 1e6).astype(np.int64),
        "wire_time": (wire * 1e6).astype(np.int64),
    }


def _config(
    series: Sequence[MadeSeries], seconds: int, warm_up_s: int, seed: int
) -> dict[str, Any]:
    backends = {made.backend for made in series}
    rate = max(sum(x.rate_per_s for x in series if x.backend == b) for b in backends or {""})
    return {
        "load": {
            "backend": "both" if len(backends) > 1 else next(iter(backends), "both"),
            "driver": "wire",
            "rate": rate or None,
            "arrivals": "poisson",
            "warm_up": float(warm_up_s),
            "run_time": float(seconds + warm_up_s),
            "seed": seed,
        },
        "data": {"users": 2000, "books": 500, "lines_per_cart": 5},
        "users": 32,
        "run_time_s": float(seconds + warm_up_s),
        "workers": 1,
    }


def _endpoints(series: Sequence[MadeSeries]) -> Endpoints:
    backends = {made.backend for made in series}
    return Endpoints(
        ENDPOINTS.dynamodb if "dynamodb" in backends else None,
        ENDPOINTS.postgres if "postgres" in backends else None,
    )
