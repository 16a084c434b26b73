"""One run of the experiment: server, load process, and what starves either from outside."""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from experiments.validity.kinds import WARM_UP_S, Burst, ProcessStop, Trial
from loadtests.calibrate.cells import (
    ROUND_TRIP,
    ROUND_TRIP_RATE_PER_S,
    reported_ms,
    wait_until_measuring,
)
from loadtests.calibrate.figures import CalibrationCell, percentiles_ms
from loadtests.calibrate.ground_truth import round_trip_ns
from loadtests.calibrate.machine_stalls import stalls_of
from loadtests.calibrate.server.memory import OTHER
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.errors import LoadtestsError
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.load.loop.priority import raise_priority
from loadtests.measure.results import RunInfo, read_run

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
IS_ROOT: Final = os.geteuid() == 0
SERVER_CPU: Final = 0
GENERATOR_CPU: Final = 1
_PRIORITY: Final = 50  # above the generator's
_CAPBSET_DROP, _CAP_SYS_NICE = 24, 23  # linux/prctl.h, linux/capability.h


class TrialRun(NamedTuple):
    """A finished run.

    `cell` compares reported with true (None where the server cannot tell); `stalled_share` is the
    share of the time that the machine itself stalled (None: unknown).
    """

    info: RunInfo
    cell: CalibrationCell | None
    stalled_share: float | None


def make_run(trial: Trial, seed: int, measured_s: float) -> TrialRun:
    """Make one run of a trial."""
    with tempfile.TemporaryDirectory(prefix="loadtests-validity-") as folder:
        cpu = SERVER_CPU if trial.rival else None
        server = ScriptedServer(trial.script, seed, cpu=cpu)
        with server, _rival(trial):
            round_trips = _drive(trial, seed, measured_s, server, Path(folder))
        run = read_run(Path(folder) / "run")
        percentiles = reported_ms(run.intervals, trial.metric) if trial.metric else {}
        stalls = stalls_of(run)
    clock = run.info.monotonic_ns
    if clock is None:
        raise LoadtestsError(f"The run of {trial.script.name} never came to its first call.")
    since_ns = clock.origin + int(run.info.warm_up_s * 1e9)
    stalled_share = stalls.stalled_share(since_ns, clock.end)
    if not (trial.metric and run.info.series):
        return TrialRun(run.info, None, stalled_share)
    truth = server.truth.between(since_ns, clock.end)
    cell = CalibrationCell(
        script=trial.script.name,
        rate_per_s=trial.rate_per_s,
        calls=sum(series.count for series in run.info.series),
        generator_cpu=0.0,
        true_ms=percentiles_ms(truth.service_ns[truth.code != OTHER]),
        reported_ms=percentiles,
        round_trip_ms=percentiles_ms(round_trip_ns(server.truth, round_trips)),
        conventional_ms={},
        valid=bool(run.info.validity and run.info.validity.valid),
    )
    return TrialRun(run.info, cell, stalled_share)


def _drive(
    trial: Trial, seed: int, measured_s: float, server: ScriptedServer, folder: Path
) -> Sequence[Sequence[int]]:
    """Run Locust, with the stops of the trial; return the baseline round trips."""
    command = [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--no-report", "--backend", "dynamodb", "--driver", "wire"),
        *("--dynamodb-endpoint", server.url, "--rate", str(trial.rate_per_s)),
        *("--seed", str(seed), "--warm-up", str(WARM_UP_S)),
        *("--run-time", f"{WARM_UP_S + measured_s + 1:.0f}s", "--results", str(folder)),
    ]
    if trial.users:
        command += ["--users", str(trial.users)]
    starve = json.dumps(dict(trial.starve))
    environment = {**os.environ, RUN_ID_VARIABLE: "run", "STARVE": starve}

    def before_exec() -> None:
        if trial.rival:
            os.sched_setaffinity(0, {GENERATOR_CPU})
        if not trial.real_time:
            ctypes.CDLL(None).prctl(_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0)

    with (folder / "locust.log").open("wb") as log:
        locust = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=environment,
            preexec_fn=before_exec,  # noqa: PLW1509 - this process has one thread
        )
        round_trips: subprocess.Popen[bytes] | None = None
        output = b"[]"
        try:
            wait_until_measuring(locust, folder / "run", WARM_UP_S)
            start_s = time.monotonic()
            if trial.metric:
                round_trips = _start_round_trips(
                    server.url, measured_s - 1, real_time=trial.real_time and IS_ROOT
                )
            for stop in trial.generator_stops:
                _stop_process(locust.pid, start_s, stop)
            for stop in trial.server_stops:
                _stop_process(server.pid, start_s, stop)
            locust.wait(measured_s + 60)
            if round_trips:
                output = round_trips.communicate(timeout=60)[0]
        finally:
            for process in (locust, round_trips):
                if process is not None:
                    if process.poll() is None:
                        process.kill()
                    process.wait()
    if not (folder / "run" / "run.json").exists():
        sys.exit((folder / "locust.log").read_text(errors="replace")[-2_000:])
    calls: list[list[int]] = json.loads(output)
    return calls


def _start_round_trips(url: str, seconds: float, *, real_time: bool) -> subprocess.Popen[bytes]:
    """Measure round trips with the generator's scheduling class, so that they are comparable."""
    address = urlsplit(url)
    command = [
        *(sys.executable, "-m", ROUND_TRIP, str(address.hostname), str(address.port)),
        *(str(ROUND_TRIP_RATE_PER_S), str(seconds)),
    ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        preexec_fn=raise_priority if real_time else None,  # noqa: PLW1509 - one thread
    )


def _stop_process(pid: int, start_s: float, stop: ProcessStop) -> None:
    time.sleep(max(0.0, start_s + stop.after_s - time.monotonic()))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(stop.length_s)
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _rival(trial: Trial) -> Iterator[None]:
    """Burn CPU on the generator's core meanwhile, above its real-time class where permitted."""
    if trial.rival is None:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(
        target=_burn, args=(trial.rival, trial.real_time and IS_ROOT), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn(burst: Burst, real_time: bool) -> None:
    os.sched_setaffinity(0, {GENERATOR_CPU})
    if real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    while True:
        until = time.perf_counter() + burst.burst_ms / 1e3
        while time.perf_counter() < until:
            pass
        if burst.period_ms > burst.burst_ms:
            time.sleep((burst.period_ms - burst.burst_ms) / 1e3)
