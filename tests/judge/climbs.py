"""Climbs against a simulated server of known capacity: real schedule, real queue, no process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.calibrate.server.scripts import MS, Hands
from loadtests.config import CapacitySettings, Config, Load
from loadtests.load.schedule.arrivals import arrivals
from loadtests.load.schedule.steps import plan_of, profile_of
from loadtests.measure import hlog
from loadtests.measure.histogram import Sparse
from loadtests.measure.hlog import Interval
from loadtests.measure.results import (
    Key,
    LoadSettings,
    Reason,
    Run,
    RunConfig,
    RunInfo,
    SeriesInfo,
    StepInfo,
    TargetInfo,
    Validity,
    read_run,
    write_info,
)
from loadtests.patterns import METRICS

S = 1_000_000_000
STARTED_AT_S = 1_772_443_800.0
VALID = Validity(valid=True)
DRIVERS = {"dynamodb": "wire", "postgres": "psycopg"}


def starved(found: str = "generator used 97% of a core.") -> Validity:
    """What the health rules say of a step in which the generator gave out."""
    reason = Reason(rule="generator CPU", found=found, remedy="Lower --rate.")
    return Validity(valid=False, reasons=[reason])


def climb_config(first: float, last: float, growth: float = 2.0, **changes: Any) -> Config:
    """A climb in steps of 12 s, 2 of them not counted, after 2 s of warm-up."""
    climb = {"from": first, "to": last, "growth": growth, "step_time": 12, "settle": 2} | changes
    return Config(
        load=Load(rate=last, warm_up=2.0), capacity=CapacitySettings.model_validate(climb)
    )


@dataclass(frozen=True)
class Server:
    """`hands` work on a call for `delay_ms` each: capacity is hands / delay."""

    hands: int = 4
    delay_ms: float = 4.0
    starved_from: float = 1e9  # the generator gives out from this rate on
    errors: dict[float, int] = field(default_factory=dict)  # failed calls, by rate

    @property
    def capacity_per_s(self) -> float:
        return self.hands / self.delay_ms * 1e3


def simulate(
    config: Config,
    server: Server,
    backends: tuple[str, ...] = ("dynamodb",),
    seed: int = 1,
    patterns: tuple[str, ...] = ("cart.get", "cart.add"),
) -> Run:
    """The run that a perfect generator would have seen; patterns take turns."""
    intervals: dict[Key, list[Interval]] = {}
    steps: list[StepInfo] = []
    for backend in backends:
        chunks = arrivals(profile_of(config, backend, backends), "poisson", seed)
        at_ns = np.concatenate(list(chunks))
        done_ns = served(at_ns, server)
        mine_planned = [step for step in plan_of(config, backends) if step.backend == backend]
        steps += [_seen(step, server, at_ns, done_ns) for step in mine_planned]
        for place, pattern in enumerate(patterns):
            mine = slice(place, None, len(patterns))
            key = Key(backend, DRIVERS[backend], pattern, "response_time")
            intervals[key] = by_second(done_ns[mine], (done_ns - at_ns)[mine])
    return run_of(config, intervals, steps)


def run_of(config: Config, intervals: dict[Key, list[Interval]], steps: list[StepInfo]) -> Run:
    """A run in memory."""
    series = [
        SeriesInfo(
            backend=k.backend,
            driver=k.driver,
            pattern=k.pattern,
            count=sum(i.counts.total for i in held),
        )
        for k, held in intervals.items()
    ]
    info = RunInfo(
        id="climb",
        scenario="capacity",
        state="complete",
        started_at="2026-03-02T09:30:00Z",
        duration_s=max(step.end_s for step in steps),
        warm_up_s=config.load.warm_up,
        config=RunConfig(load=LoadSettings(**config.load.model_dump(exclude_none=True))),
        series=series,
        steps=steps,
        validity=VALID,
    )
    return Run(Path("climb"), info, intervals, {})


def write_climb(path: Path, run: Run) -> Run:
    """The run as a folder, all three times alike, with settings and targets as a real one has."""
    path.mkdir(parents=True)
    with (path / "latency.hlog").open("w", encoding="ascii") as log:
        log.write(hlog.header(STARTED_AT_S))
        for key, held in run.intervals.items():
            for metric in METRICS:
                tag = replace(key, metric=metric).tag
                log.writelines(hlog.format_line(tag, interval) for interval in held)
    backends = {step.backend for step in run.info.steps}
    labels = {"dynamodb": "DynamoDB Local", "postgres": "PostgreSQL 18"}
    info = run.info.model_copy(
        update={
            "id": path.name,
            "targets": {b: TargetInfo(label=labels[b], emulator=b == "dynamodb") for b in backends},
        }
    )
    write_info(path, info)
    return read_run(path)


def served(at_ns: np.ndarray, server: Server) -> np.ndarray:
    """When each call ends."""
    hands, delay_ns = Hands(server.hands), round(server.delay_ms * MS)
    return np.array([hands.begin_ns(int(at), delay_ns) + delay_ns for at in at_ns], np.int64)


def by_second(done_ns: np.ndarray, times_ns: np.ndarray) -> list[Interval]:
    """A histogram for each second in which calls ended."""
    seconds = done_ns // S
    return [
        Interval(float(second), 1.0, Sparse.of(times_ns[seconds == second]))
        for second in np.unique(seconds)
    ]


def _seen(step: StepInfo, server: Server, at_ns: np.ndarray, done_ns: np.ndarray) -> StepInfo:
    end_ns, from_ns = step.end_s * S, step.measure_from_s * S
    inside = (at_ns >= from_ns) & (at_ns < end_ns)
    return step.model_copy(
        update={
            "offered": int(inside.sum()),
            "unfinished": int(((at_ns < end_ns) & (done_ns >= end_ns)).sum()),
            "errors": {"Refused": n} if (n := server.errors.get(step.rate_per_s, 0)) else {},
            "generator_cpu": min(1.0, step.rate_per_s / 5_000),
            "validity": starved() if step.rate_per_s >= server.starved_from else VALID,
        }
    )
