"""Runs one cell of the calibration: the real scenario, in Locust, on a scripted server."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from loadtests.calibrate.figures import (
    QUANTILES,
    CalibrationCell,
    Nanoseconds,
    Percentiles,
    percentiles_ms,
)
from loadtests.calibrate.ground_truth import GroundTruth, open_loop_response_ns, round_trip_ns
from loadtests.calibrate.machine_stalls import MachineStalls, stalls_of
from loadtests.calibrate.server.memory import OTHER
from loadtests.calibrate.server.scripts import Script
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.errors import LoadtestsError
from loadtests.interpreter import module_command
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.load.locust.verb_child import MODULE as VERB_CHILD
from loadtests.load.schedule.arrivals import arrivals, constant_rate, dispatcher_seed
from loadtests.measure.histogram import Histogram
from loadtests.measure.hlog import Interval
from loadtests.measure.results import Key, MonotonicClock, Run, read_run

SCENARIO: Final = "scenarios/cart.py"
CONVENTIONAL: Final = Path(__file__).with_name("conventional.py")
ROUND_TRIP: Final = "loadtests.calibrate.round_trip"
ROUND_TRIP_RATE_PER_S: Final = 50.0
# Over whole periods a tenth of all arrivals meets a freeze of one second in ten. p90 then lies on
# the jump from 2 ms to a second, where a few calls decide. Two freezes in 25 s are 8%; the run
# takes one second more than this.
FROZEN_PERIODS: Final = 2.4
SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """How long each phase of a cell takes, in seconds (2.4 periods for a server that freezes).

    `tries` is how often a cell is measured at most while the machine stalls. `conventional_s` of 0
    leaves the conventional test out.
    """

    warm_up_s: float = 3.0
    measured_s: float = 10.0
    conventional_s: float = 8.0
    tries: int = 3


def measure_cell(script: Script, rate_per_s: float, plan: CellPlan) -> CalibrationCell:
    """One script at one rate. Raises LoadtestsError when one of its processes cannot run.

    While the machine stalls, the cell is measured again, and the quietest try counts. The hiccup
    meters alone decide which one that is, whatever the figures are.
    """
    tries = [_try_cell(script, rate_per_s, plan)]
    while tries[-1].machine_stalled and len(tries) < plan.tries:
        tries.append(_try_cell(script, rate_per_s, plan))
    quietest = min(tries, key=lambda cell: cell.stalled_share or 0.0)
    conventional_ms: Percentiles = {}
    if plan.conventional_s:
        seconds = _frozen_s(script) or plan.conventional_s
        with tempfile.TemporaryDirectory(prefix="loadtests-calibrate-") as folder:
            conventional_ms = _run_conventional(script, rate_per_s, seconds, Path(folder))
    return replace(quietest, conventional_ms=conventional_ms, tries=len(tries))


def reported_ms(intervals: Mapping[Key, Sequence[Interval]], metric: str) -> Percentiles:
    """The percentiles of one metric over all series of a run, in milliseconds."""
    histogram = Histogram()
    for key, parts in intervals.items():
        if key.metric == metric:
            for part in parts:
                histogram.add(part.counts)
    if not histogram.total:
        return dict.fromkeys(QUANTILES, float("nan"))
    values_ns = histogram.quantiles_ns(list(QUANTILES.values()))
    return dict(zip(QUANTILES, (value / 1e6 for value in values_ns), strict=True))


def wait_until_measuring(locust: subprocess.Popen[bytes], path: Path, warm_up_s: float) -> None:
    """Return once the run in folder `path` is past its warm-up, or Locust has ended."""
    while locust.poll() is None:
        try:
            if json.loads((path / "run.json").read_bytes())["duration_s"] >= warm_up_s:
                return
        except (FileNotFoundError, ValueError):
            pass  # not there yet, or half written
        try:
            locust.wait(0.1)
        except subprocess.TimeoutExpired:
            continue


def _frozen_s(script: Script) -> float:
    """How long to measure a server that freezes; 0 for one that does not."""
    return FROZEN_PERIODS * script.period_ns / 1e9 if script.freeze_ns else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredScript:
    """A finished run on a scripted server, and what the server recorded of it.

    `truth` is the server's whole record; the measured part is [since, end) of `clock`.
    """

    run: Run
    clock: MonotonicClock
    since_ns: int
    truth: GroundTruth
    round_trips: Sequence[Sequence[int]]
    stalls: MachineStalls

    @property
    def generator_cpu(self) -> float:
        """Cores that the load process used."""
        return (self.signal("generator CPU") or 0.0) / 100

    def signal(self, name: str) -> float | None:
        """A signal of the generator's health; None where it is missing or unknown."""
        signals = {signal.name: signal.value for signal in self.run.info.health.signals}
        return signals.get(name)

    @property
    def measured_truth(self) -> GroundTruth:
        """The server's record of the measured part."""
        return self.truth.between(self.since_ns, self.clock.end)


def run_script(script: Script, rate_per_s: float, plan: CellPlan) -> MeasuredScript:
    """Run the scenario on a script once. Raises LoadtestsError."""
    with (
        tempfile.TemporaryDirectory(prefix="loadtests-calibrate-") as folder,
        ScriptedServer(script) as server,
    ):
        run, round_trips = _run_harness(script, server.url, rate_per_s, plan, Path(folder))
        stalls = stalls_of(run)
    clock = run.info.monotonic_ns
    if not clock:
        raise LoadtestsError(f"{script.name} at {rate_per_s:,.0f}/s never came to its first call.")
    return MeasuredScript(
        run=run,
        clock=clock,
        since_ns=clock.origin + int(run.info.warm_up_s * 1e9),
        truth=server.truth,
        round_trips=round_trips,
        stalls=stalls,
    )


def _try_cell(script: Script, rate_per_s: float, plan: CellPlan) -> CalibrationCell:
    measured = run_script(script, rate_per_s, plan)
    run, truth = measured.run, measured.measured_truth
    if script.freeze_ns:
        starts_ns = intended_starts_ns(measured, rate_per_s)
        true_ns = frozen_response_ns(script, starts_ns, truth)
    else:
        true_ns = truth.service_ns[truth.code != OTHER]
    validity = run.info.validity
    return CalibrationCell(
        script=script.name,
        rate_per_s=rate_per_s,
        calls=sum(series.count for series in run.info.series),
        generator_cpu=measured.generator_cpu,
        true_ms=percentiles_ms(true_ns),
        reported_ms=reported_ms(run.intervals, "response_time"),
        round_trip_ms=percentiles_ms(round_trip_ns(measured.truth, measured.round_trips)),
        conventional_ms={},
        valid=bool(validity and validity.valid),
        reason="; ".join(r.found for r in validity.reasons) if validity else "no validity",
        dispatch_delay_p99_ms=measured.signal("dispatch delay p99"),
        stalled_share=measured.stalls.stalled_share(measured.since_ns, measured.clock.end),
    )


def _run_harness(
    script: Script, url: str, rate_per_s: float, plan: CellPlan, folder: Path
) -> tuple[Run, Sequence[Sequence[int]]]:
    """The finished run, and the baseline round trips measured beside it."""
    measured_s = _frozen_s(script) or plan.measured_s
    command = [
        *module_command(VERB_CHILD, "-f", SCENARIO, "--headless", "--only-summary"),
        *("--no-report", "--backend", "dynamodb", "--driver", "wire", "--dynamodb-endpoint", url),
        *("--rate", str(rate_per_s), "--arrivals", "poisson", "--seed", str(SEED)),
        *("--warm-up", str(plan.warm_up_s)),
        *("--run-time", f"{plan.warm_up_s + measured_s + 1:.0f}s", "--results", str(folder)),
    ]
    if script.freeze_ns:
        # every arrival of a freeze must find a user, as every shopper has a browser
        command += ["--users", str(round(rate_per_s * 1.5))]
    environment = {**os.environ, RUN_ID_VARIABLE: "run"}
    with (folder / "locust.log").open("wb") as log:
        locust = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            wait_until_measuring(locust, folder / "run", plan.warm_up_s)
            round_trips = _measure_round_trips(url, measured_s - 1)
            locust.wait(measured_s + 60)
        finally:
            if locust.poll() is None:
                locust.kill()
                locust.wait()
    if not (folder / "run" / "run.json").exists():
        output = (folder / "locust.log").read_text(encoding="utf-8", errors="replace")
        raise LoadtestsError("Locust could not run the scenario.", hint=output[-400:])
    return read_run(folder / "run"), round_trips


def _measure_round_trips(url: str, seconds: float) -> Sequence[Sequence[int]]:
    address = urlsplit(url)
    command = [
        *module_command(ROUND_TRIP, str(address.hostname), str(address.port)),
        *(str(ROUND_TRIP_RATE_PER_S), str(seconds)),
    ]
    process = subprocess.run(command, capture_output=True, timeout=seconds + 60, check=True)
    round_trips: list[list[int]] = json.loads(process.stdout)
    return round_trips


def intended_starts_ns(measured: MeasuredScript, rate_per_s: float) -> Nanoseconds:
    """The intended starts of the measured part, by the schedule."""
    clock = measured.clock
    seed = dispatcher_seed(SEED, 0, "dynamodb")
    starts_ns = clock.origin + _intended_until(clock.end - clock.origin, rate_per_s, seed)
    measured_ns: Nanoseconds = starts_ns[starts_ns >= measured.since_ns]
    return measured_ns


def frozen_response_ns(script: Script, starts_ns: Nanoseconds, truth: GroundTruth) -> Nanoseconds:
    """What users arriving at `starts_ns` should have seen of a server that freezes."""
    response_ns = open_loop_response_ns(starts_ns, script.delay_ns, truth.windows)
    lag_ns = truth.lag_ns(script.delay_ns)[: len(response_ns)]
    response_ns[: len(lag_ns)] += lag_ns
    return response_ns


def _intended_until(end_ns: int, rate_per_s: float, seed: int) -> Nanoseconds:
    def chunks() -> Iterator[Nanoseconds]:
        for chunk in arrivals(constant_rate(rate_per_s), "poisson", seed):
            yield chunk[chunk <= end_ns]
            if chunk[-1] > end_ns:
                return

    return np.concatenate(list(chunks()))


def _run_conventional(
    script: Script, rate_per_s: float, seconds: float, folder: Path
) -> Percentiles:
    report = folder / "conventional"
    users = max(1, round(rate_per_s / 10))
    command = [
        *module_command(VERB_CHILD, "-f", str(CONVENTIONAL), "--headless"),
        *("--only-summary", "--users", str(users), "--spawn-rate", "100", "--reset-stats"),
        *("--run-time", f"{seconds:.0f}s", "--json-file", str(report)),
        *("--exit-code-on-error", "0"),
    ]
    with ScriptedServer(script) as server:
        subprocess.run(
            command,
            capture_output=True,
            timeout=seconds + 60,
            env={**os.environ, "CONVENTIONAL_ENDPOINT": server.url},
            check=True,
        )
    entries: list[dict[str, dict[str, int]]] = json.loads(report.with_suffix(".json").read_text())
    values_ns: list[int] = []
    for entry in entries:
        for rounded_ms, count in entry["response_times"].items():
            values_ns += [int(float(rounded_ms) * 1e6)] * count
    return percentiles_ms(np.array(values_ns, np.int64))
