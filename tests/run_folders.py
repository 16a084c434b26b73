"""Made-up run folders with the shape of real ones, for tests of judge and report.

Latencies are lognormal around each series' median with a slow tail, multiplied by a factor per
second that drifts (log-AR(1), partly shared by a backend's series), so neighbouring calls are
alike as they are in real runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadtests.measure import hlog
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import (
    Capacity,
    Key,
    Reason,
    Run,
    RunInfo,
    SeriesInfo,
    Validity,
    read_run,
    summarise,
    write_info,
)
from loadtests.patterns import METRICS, PATTERNS

STARTED_AT: Final = "2026-03-02T09:30:00Z"
STARTED_AT_S: Final = 1_772_443_800.0
DRIVERS: Final = {"dynamodb": "wire", "postgres": "psycopg"}
HEALTH_COLUMNS: Final = (
    "second",
    "worker",
    "phase",
    "cpu_share",
    "steal_share",
    "loop_lag_p99_ms",
    "gc_pause_ms",
    "late_p99_ms",
    "unfinished",
    "in_flight",
)


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
    memory: float = 0.8  # its correlation from one second to the next
    shared: float = 0.5  # the share of the drift's variance that a backend's series have in common
    error_share: float = 0.0
    error_name: str = "CallTimeout"


def made_series(
    patterns: Sequence[str] = PATTERNS,
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
    verdict: Mapping[str, Any] | None = None,
    started_at: str = STARTED_AT,
) -> Run:
    """Write a run folder at `path` and read it back. `valid=None` leaves validity out."""
    path.mkdir(parents=True)
    series = made_series() if series is None else list(series)
    rng = np.random.default_rng(seed)
    infos = _write_logs(path, series, seconds, warm_up_s, rng)
    _write_health(path / "health.csv", seconds, warm_up_s, rng)
    write_info(
        path,
        RunInfo(
            id=path.name,
            scenario=scenario,
            state=state,  # type: ignore[arg-type]
            started_at=started_at,
            duration_s=float(seconds),
            warm_up_s=float(warm_up_s),
            config=_config(series, seconds, warm_up_s, seed) | dict(config or {}),
            environment=_environment() | dict(environment or {}),
            targets=_targets(series),
            series=infos,
            health={
                "cpu_share_max": 0.61,
                "steal_share_max": 0.0,
                "loop_lag_p99_ms": 0.9,
                "gc_pause_max_ms": 1.4,
                "late_p99_ms": 0.8,
                "unfinished": 0,
            },
            validity=_validity(valid),
            verdict=dict(verdict) if verdict is not None else None,
        ),
    )
    return read_run(path)


def _write_logs(
    path: Path,
    series: Sequence[MadeSeries],
    seconds: int,
    warm_up_s: int,
    rng: np.random.Generator,
) -> list[SeriesInfo]:
    total = warm_up_s + seconds
    backends = sorted({one.backend for one in series})
    shared = {backend: _drift(rng, total, one=0.8) for backend in backends}
    infos = []
    with (
        (path / "latency.hlog").open("w", encoding="ascii") as measured,
        (path / "warm-up.hlog").open("w", encoding="ascii") as warm_up,
    ):
        measured.write(hlog.header(STARTED_AT_S))
        warm_up.write(hlog.header(STARTED_AT_S))
        for one in series:
            own = _drift(rng, total, one=one.memory)
            common = shared[one.backend]
            noise = np.sqrt(one.shared) * common + np.sqrt(1 - one.shared) * own
            merged = {metric: Histogram() for metric in METRICS}
            calls = failed = 0
            for second in range(total):
                times = _one_second(one, float(noise[second]), second < warm_up_s, rng)
                for metric, values in times.items():
                    key = Key(one.backend, one.driver, one.pattern, metric)
                    counts = Sparse.of(values)
                    line = hlog.Line(key.tag, float(second), 1.0, counts)
                    (warm_up if second < warm_up_s else measured).write(hlog.format_line(line))
                    if second >= warm_up_s:
                        merged[metric].add(counts)
                if second >= warm_up_s:
                    calls += times["service_time"].size
                    failed += int(rng.binomial(times["service_time"].size, one.error_share))
            infos.append(_series_info(one, merged, calls, failed))
    return infos


def _drift(rng: np.random.Generator, seconds: int, *, one: float) -> np.ndarray[Any, Any]:
    """A standard AR(1) path with correlation `one` between neighbours."""
    path = np.empty(seconds)
    state = rng.normal()
    for second in range(seconds):
        path[second] = state
        state = one * state + np.sqrt(1 - one * one) * rng.normal()
    return path


def _one_second(
    one: MadeSeries, noise: float, warming: bool, rng: np.random.Generator
) -> dict[str, np.ndarray[Any, Any]]:
    calls = int(rng.poisson(one.rate_per_s))
    factor = np.exp(one.drift * noise) * (1.8 if warming else 1.0)
    wire = one.median_ms * factor * np.exp(one.sigma * rng.normal(size=calls))
    wire = np.where(rng.random(calls) < one.tail_share, wire * one.tail_factor, wire)
    service = wire + 0.05 + rng.exponential(0.01, calls)
    response = service + rng.exponential(0.04, calls)
    return {
        "response_time": (response * 1e6).astype(np.int64),
        "service_time": (service * 1e6).astype(np.int64),
        "wire_time": (wire * 1e6).astype(np.int64),
    }


def _series_info(
    one: MadeSeries, merged: Mapping[str, Histogram], calls: int, failed: int
) -> SeriesInfo:
    times = {f"{metric}_ms": summarise(histogram) for metric, histogram in merged.items()}
    dynamodb = one.backend == "dynamodb"
    return SeriesInfo(
        backend=one.backend,
        driver=one.driver,
        pattern=one.pattern,
        count=calls,
        errors={one.error_name: failed} if failed else {},
        capacity=Capacity(rcu_per_op=0.5, wcu_per_op=1.0) if dynamodb else None,
        **times,  # type: ignore[arg-type]
    )


def _write_health(path: Path, seconds: int, warm_up_s: int, rng: np.random.Generator) -> None:
    rows = [",".join(HEALTH_COLUMNS)]
    for second in range(warm_up_s + seconds):
        phase = "warm-up" if second < warm_up_s else "measured"
        cpu = 0.45 + 0.1 * rng.random()
        rows.append(
            f"{second},0,{phase},{cpu:.3f},0.000,{0.5 + 0.3 * rng.random():.3f},"
            f"{rng.exponential(0.3):.3f},{0.4 + 0.4 * rng.random():.3f},0,{rng.poisson(2)}"
        )
    path.write_text("\n".join(rows) + "\n", encoding="ascii")


def _config(
    series: Sequence[MadeSeries], seconds: int, warm_up_s: int, seed: int
) -> dict[str, Any]:
    backends = {one.backend for one in series}
    rate = max(sum(o.rate_per_s for o in series if o.backend == b) for b in backends or {""})
    return {
        "load": {
            "backend": "both" if len(backends) > 1 else next(iter(backends), "both"),
            "driver": "wire",
            "rate": rate,
            "arrivals": "poisson",
            "warm_up": float(warm_up_s),
            "run_time": float(seconds + warm_up_s),
            "seed": seed,
        },
        "targets": {"dynamodb_endpoint": "embedded", "postgres_dsn": "embedded"},
        "data": {"users": 2000, "books": 500, "lines_per_cart": 5},
    }


def _environment() -> dict[str, Any]:
    return {
        "hardware": {"cpu": "Example CPU @ 2.80GHz", "cores": 2, "memory_gib": 24},
        "kernel": "Linux 6.1.0 x86_64",
        "python": "3.11.7",
        "versions": {"loadtests": "0.1.0", "locust": "2.47.0", "psycopg": "3.2.3"},
    }


def _targets(series: Sequence[MadeSeries]) -> dict[str, dict[str, Any]]:
    known = {
        "dynamodb": {"target": "embedded", "label": "DynamoDB Local", "version": "1.25.1"},
        "postgres": {"target": "embedded", "label": "PostgreSQL", "version": "18.0"},
    }
    return {one.backend: known.get(one.backend, {"target": "embedded"}) for one in series}


def _validity(valid: bool | None) -> Validity | None:
    if valid is None:
        return None
    if valid:
        return Validity(valid=True)
    reason = Reason(
        rule="late starts",
        found="p99 of lateness was 14.2 ms, above 5 ms",
        remedy="lower --rate or add --processes",
    )
    return Validity(valid=False, reasons=[reason])
