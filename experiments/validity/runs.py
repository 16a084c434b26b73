"""One run of the experiment: server, load process, and what starves either from outside."""

import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from experiments.validity.kinds import WARM_UP_S
from loadtests.calibrate.figures import JUDGED, CalibrationCell, quantiles_ms
from loadtests.calibrate.hiccup_meter import HiccupMeter
from loadtests.calibrate.server.memory import OTHER
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.load.loop.priority import raise_priority
from loadtests.measure.histogram import Histogram
from loadtests.measure.results import Key, read_run

HERE = Path(__file__).parent
_CAPBSET_DROP, _CAP_SYS_NICE = 24, 23  # linux/prctl.h, linux/capability.h
ROOT = os.geteuid() == 0


def make_run(trial, seed, measured_s):
    """run.json as read back, reported against true (None where the server cannot tell), and the
    share of the time that the machine stood still (None where nobody could see)."""
    with tempfile.TemporaryDirectory(prefix="loadtests-validity-") as folder:
        cpu = 0 if trial.rival_ms else None
        server, witness = ScriptedServer(trial.script, seed, cpu=cpu), HiccupMeter()
        with server, rival(trial), witness:
            probed = drive(trial, seed, measured_s, server, Path(folder))
        run = read_run(Path(folder) / "run")
        reported = figures_of(run, trial.metric) if trial.metric else {}
    clock = run.info.model_extra["monotonic_ns"]
    since = clock["origin"] + int(run.info.warm_up_s * 1e9)
    lost = witness.lost_share(since, clock["end"])
    if not (trial.metric and run.info.series):
        return run.info, None, lost
    truth = server.truth.between(since, clock["end"])
    cell = CalibrationCell(
        script=trial.script.name,
        rate_per_s=trial.rate_per_s,
        calls=sum(series.count for series in run.info.series),
        generator_cpu=0.0,
        truth=quantiles_ms(truth.service_ns[truth.code != OTHER]),
        reported=reported,
        floor=quantiles_ms(excess_ns(server.truth, probed)),
        conventional={},
        valid=run.info.validity.valid,
    )
    return run.info, cell, lost


def drive(trial, seed, measured_s, server, folder):
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(HERE / "locustfile.py"),
        "--headless",
        "--only-summary",
        "--no-report",
        "--backend",
        "dynamodb",
        "--driver",
        "wire",
        "--dynamodb-endpoint",
        server.url,
        "--rate",
        str(trial.rate_per_s),
        "--seed",
        str(seed),
        "--warm-up",
        str(WARM_UP_S),
        "--run-time",
        f"{WARM_UP_S + measured_s + 1:.0f}s",
        "--results",
        str(folder),
    ]
    if trial.users:
        command += ["--users", str(trial.users)]
    environment = {**os.environ, RUN_ID_VARIABLE: "run", "STARVE": json.dumps(trial.starve)}

    def before_exec():
        if trial.rival_ms:
            os.sched_setaffinity(0, {1})
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
        probe = None
        try:
            await_measuring(locust, folder / "run" / "run.json")
            began = time.monotonic()
            probe = trial.metric and start_probe(
                server.url, measured_s - 1, real_time=trial.real_time and ROOT
            )
            for after_s, held_s in trial.stops_s:
                stop_for(locust.pid, began + after_s, held_s)
            for after_s, held_s in trial.server_stops_s:
                stop_for(server.pid, began + after_s, held_s)
            locust.wait(measured_s + 60)
            said = probe.communicate(timeout=60)[0] if probe else b"[]"
        finally:
            for process in filter(None, (locust, probe)):
                if process.poll() is None:
                    process.kill()
                process.wait()
    if not (folder / "run" / "run.json").exists():
        sys.exit((folder / "locust.log").read_text(errors="replace")[-2_000:])
    return json.loads(said)


def await_measuring(locust, file):
    while locust.poll() is None:
        try:
            if json.loads(file.read_bytes())["duration_s"] >= WARM_UP_S:
                return
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.05)


def start_probe(url, seconds, *, real_time):
    """Scheduled as the generator is, so that the floor is the generator's."""
    where = urlsplit(url)
    arguments = [where.hostname, str(where.port), "50", str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-m", "loadtests.calibrate.round_trip", *arguments],
        stdout=subprocess.PIPE,
        preexec_fn=raise_priority if real_time else None,  # noqa: PLW1509 - likewise
    )


def stop_for(pid, at, held_s):
    time.sleep(max(0.0, at - time.monotonic()))
    try:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(held_s)
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


class rival:  # noqa: N801 - a context manager, called like a function
    """A process that burns on the generator's core; above its real-time class where allowed."""

    def __init__(self, trial):
        self.process = None
        if trial.rival_ms:
            above = trial.real_time and ROOT
            self.process = multiprocessing.get_context("spawn").Process(
                target=spin, args=(*trial.rival_ms, above), daemon=True
            )

    def __enter__(self):
        if self.process:
            self.process.start()

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.join()


def spin(burst_ms, period_ms, above):
    os.sched_setaffinity(0, {1})
    if above:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    while True:
        until = time.perf_counter() + burst_ms / 1e3
        while time.perf_counter() < until:
            pass
        if period_ms > burst_ms:
            time.sleep((period_ms - burst_ms) / 1e3)


def figures_of(run, metric):
    merged = Histogram()
    for one in run.info.series:
        merged.add(run.total(Key(one.backend, one.driver, one.pattern, metric)).sparse())
    if not merged.total:
        return dict.fromkeys(JUDGED, float("nan"))
    values = merged.quantiles_ns([0.5, 0.9, 0.99])
    return dict(zip(JUDGED, (v / 1e6 for v in values), strict=True))


def excess_ns(truth, probed):
    """What the bare probe saw beyond the server's own time, call by call."""
    foreign = truth.code == OTHER
    order = np.argsort(truth.arrival_ns[foreign], kind="stable")
    service = truth.service_ns[foreign][order]
    calls = np.array(probed, np.int64).reshape(-1, 2)
    n = min(len(calls), len(service))
    return calls[:n, 1] - calls[:n, 0] - service[:n]
