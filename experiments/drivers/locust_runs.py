"""Locust runs against a scripted server: what the whole process costs for each call it makes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from loadtests.calibrate.ground_truth import GroundTruth
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.measure.histogram import Histogram
from loadtests.measure.results import read_run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SETTLE_S = 4.0  # start-up, seeding and warm-up; what follows is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustCost:
    """What one Locust run cost over its steady seconds.

    `cpu_s` is the CPU time of the process and its children (one of them writes the results),
    `loop_cpu_s` that of the process alone. `overhead_ms` is the median response time minus the
    server's own median.
    """

    calls: int
    cpu_s: float
    loop_cpu_s: float
    wall_s: float
    exit_code: int
    overhead_ms: float | None = None

    @property
    def cpu_us_per_call(self) -> float:
        """Microseconds of CPU per call."""
        return self.cpu_s / self.calls * 1e6


def harness(rate: float, seconds: float, cpus: tuple[int, int] | None, users: int) -> LocustCost:
    """The project's own scenario: wire driver, open loop, recording on."""
    with tempfile.TemporaryDirectory() as results:
        arguments = (
            "-f",
            str(ROOT / "scenarios" / "cart.py"),
            "--backend",
            "dynamodb",
            "--rate",
            f"{rate:g}",
            "--users",
            str(users),
            "--warm-up",
            "2",
            "--run-time",
            f"{SETTLE_S + seconds + 3:g}s",
            "--results",
            results,
        )
        return _run(arguments, seconds, cpus, flag="--dynamodb-endpoint", results=Path(results))


def conventional(
    seconds: float, cpus: tuple[int, int] | None, keys: Sequence[tuple[str, str]]
) -> LocustCost:
    """boto3 users as most load tests write them, at an unlimited rate."""
    arguments = (
        "-f",
        str(HERE / "locustfile_boto3.py"),
        "--users",
        str(len(keys)),
        "--spawn-rate",
        "100",
        "--run-time",
        f"{SETTLE_S + seconds + 10:g}s",
    )
    return _run(arguments, seconds, cpus, environment={"KEYS": json.dumps(keys)})


def _run(
    arguments: Sequence[str],
    seconds: float,
    cpus: tuple[int, int] | None,
    *,
    flag: str = "",
    environment: Mapping[str, str] | None = None,
    results: Path | None = None,
) -> LocustCost:
    with ScriptedServer(SCRIPTS["null"], cpu=cpus[1] if cpus else None) as server:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "locust",
                "--headless",
                "--only-summary",
                *arguments,
                *((flag, server.url) if flag else ()),
            ],
            env={**os.environ, "DYNAMODB_URL": server.url, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        try:
            samples = list(_sample(process, cpus[0] if cpus else None))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if not len(server.truth.code):
        raise RuntimeError(f"locust made no calls (exit code {process.returncode})")
    arrivals_ns = server.truth.arrival_ns
    begin_ns = int(arrivals_ns.min() + SETTLE_S * 1e9)
    end_ns = min(begin_ns + int(seconds * 1e9), int(arrivals_ns.max()))
    steady = [sample for sample in samples if begin_ns <= sample.at_ns <= end_ns]
    if len(steady) < 2:
        raise RuntimeError(f"locust ended early (exit code {process.returncode})")
    first, last = steady[0], steady[-1]
    truth = server.truth.between(first.at_ns, last.at_ns)
    return LocustCost(
        calls=len(truth.code),
        cpu_s=last.tree_s - first.tree_s,
        loop_cpu_s=last.loop_s - first.loop_s,
        wall_s=(last.at_ns - first.at_ns) / 1e9,
        exit_code=process.returncode,
        overhead_ms=_overhead_ms(results, truth) if results else None,
    )


class _Sample(NamedTuple):
    """CPU seconds so far: of the process with its children, and of the process alone."""

    at_ns: int
    tree_s: float
    loop_s: float


def _sample(process: subprocess.Popen[bytes], cpu: int | None) -> Iterator[_Sample]:
    """CPU time of Locust's process with and without its children, until it ends."""
    watched = psutil.Process(process.pid)
    if cpu is not None:
        watched.cpu_affinity([cpu])
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            loop_s = _cpu_s(watched)
            children = watched.children(recursive=True)
            yield _Sample(time.monotonic_ns(), loop_s + sum(map(_cpu_s, children)), loop_s)
        time.sleep(0.1)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _overhead_ms(results: Path, truth: GroundTruth) -> float | None:
    """Median response time of the run minus the server's own median."""
    run = read_run(results / "latest")
    reported = Histogram()
    for key, intervals in run.intervals.items():
        if key.metric == "response_time":
            for interval in intervals:
                reported.add(interval.counts)
    if not reported.total:
        return None
    return (reported.quantile_ns(0.5) - float(np.median(truth.service_ns))) / 1e6
