"""Calibration under injected stalls: are the percentiles of the undisturbed calls true?

Three distributions are compared: what the server did for requests that no stall touched, all calls
of the run, and its undisturbed calls.

The injected stalls hit the scripted server too, so its whole record is no ground truth. The truth
are the requests that *arrived* in undisturbed time, by the same windows that select the calls. They
are selected by a moment, not by how long they took, so slow ones are as likely to be among them. A
server that freezes is computed from the schedule instead, for the undisturbed intended starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.calibrate.cells import (
    CellPlan,
    MeasuredScript,
    frozen_response_ns,
    intended_starts_ns,
    reported_ms,
    run_script,
)
from loadtests.calibrate.figures import (
    JUDGED,
    MAX_GENERATOR_CPU,
    Nanoseconds,
    Percentiles,
    percentiles_ms,
    tolerance_ms,
)
from loadtests.calibrate.ground_truth import round_trip_ns
from loadtests.calibrate.server.memory import OTHER
from loadtests.calibrate.server.scripts import Script
from loadtests.calibrate.stall_injector import InjectedStall, StallInjector, StallPlan
from loadtests.errors import LoadtestsError
from loadtests.measure.stalls.windows import MIN_USED_NS, DisturbedTime, Stall

MIN_MS: Final = 2.0
MAX_MS: Final = 10.0
# A stall is seen when a meter on its CPU reports one that ends within this of it.
MATCH_NS: Final = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyCell:
    """One script at one rate under injected stalls; `…_ms` are milliseconds by percentile.

    `injected` stalls were injected in the measured part, and the meters saw `seen` of them. The
    share `left_out` of the calls was disturbed. `invalid` says why the run can give no verdict of
    any kind; empty when it can.
    """

    script: str
    rate_per_s: float
    calls: int
    left_out: float
    true_ms: Percentiles
    all_ms: Percentiles
    undisturbed_ms: Percentiles
    round_trip_ms: Percentiles
    injected: int
    seen: int
    generator_cpu: float
    invalid: str = ""

    def within(self, name: str, reported: Percentiles) -> bool:
        """Whether a reported percentile is right within calibration's tolerance."""
        true_ms = self.true_ms[name]
        tolerance = tolerance_ms(true_ms, self.round_trip_ms.get(name, 0.0))
        return abs(reported[name] - true_ms) <= tolerance

    @property
    def excuse(self) -> str:
        """Why the cell does not count; empty when it does."""
        if self.invalid:
            return self.invalid
        if self.generator_cpu > MAX_GENERATOR_CPU:
            return f"the generator used {self.generator_cpu:.0%} of a core"
        return ""

    @property
    def right(self) -> bool:
        """Whether every judged percentile of the undisturbed calls is within tolerance."""
        return all(self.within(name, self.undisturbed_ms) for name in JUDGED)


def measure_noisy_cell(
    script: Script, rate_per_s: float, plan: CellPlan, share: float, seed: int
) -> NoisyCell:
    """One script at one rate with this share of each CPU taken away, in pieces of 2 to 10 ms.

    Raises TargetError where stalls cannot be injected, LoadtestsError when the run failed.
    """
    stalls = StallPlan(share=share, min_ms=MIN_MS, max_ms=MAX_MS, seed=seed)
    with StallInjector(stalls) as injector:
        measured = run_script(script, rate_per_s, plan)
    run = measured.run
    if run.undisturbed is None or run.info.stalls is None:
        raise LoadtestsError("The run has no undisturbed calls: its hiccup meters did not run.")
    disturbed = measured.stalls.disturbed()
    injected = [
        stall
        for stall in _as_stalls(injector)
        if measured.since_ns <= stall.due_ns < measured.clock.end
    ]
    validity = run.info.validity
    reasons = validity.reasons if validity else []
    return NoisyCell(
        script=script.name,
        rate_per_s=rate_per_s,
        calls=sum(series.count for series in run.info.series),
        left_out=run.info.stalls.left_out,
        true_ms=percentiles_ms(_true_ns(script, rate_per_s, measured, disturbed)),
        all_ms=reported_ms(run.intervals, "response_time"),
        undisturbed_ms=reported_ms(run.undisturbed, "response_time"),
        round_trip_ms=percentiles_ms(_round_trips_ns(measured, disturbed)),
        injected=len(injected),
        seen=int(seen(injected, measured.stalls.stalls).sum()),
        generator_cpu=measured.generator_cpu,
        invalid="; ".join(r.found for r in reasons if r.rules_out == "every verdict"),
    )


def seen(injected: Sequence[Stall], measured: Sequence[Stall]) -> npt.NDArray[np.bool_]:
    """Whether a meter on the same CPU reported each injected stall, long enough to be used."""
    result = np.zeros(len(injected), np.bool_)
    for cpu in {stall.cpu for stall in measured}:
        ends = [s.end_ns for s in measured if s.cpu == cpu and s.length_ns >= MIN_USED_NS]
        ends_ns = np.sort(np.array(ends, np.int64))
        if not ends_ns.size:
            continue
        for index, stall in enumerate(injected):
            if stall.cpu == cpu:
                result[index] = np.abs(ends_ns - stall.end_ns).min() <= MATCH_NS
    return result


def _as_stalls(injector: StallInjector) -> list[Stall]:
    def stall(cpu: int, times: InjectedStall) -> Stall:
        return Stall(cpu, times.start_ns, times.start_ns, times.end_ns - times.start_ns)

    return [stall(cpu, times) for cpu, stalls in injector.stalls.items() for times in stalls]


def _true_ns(
    script: Script, rate_per_s: float, measured: MeasuredScript, disturbed: DisturbedTime
) -> Nanoseconds:
    truth = measured.measured_truth
    if script.freeze_ns:
        starts_ns = intended_starts_ns(measured, rate_per_s)
        response_ns = frozen_response_ns(script, starts_ns, truth)
        times_ns: Nanoseconds = response_ns[~disturbed.touches(starts_ns)]
    else:
        undisturbed = ~disturbed.touches(truth.arrival_ns)
        times_ns = truth.service_ns[undisturbed & (truth.code != OTHER)]
    return times_ns


def _round_trips_ns(measured: MeasuredScript, disturbed: DisturbedTime) -> Nanoseconds:
    """The baseline round trips that were sent in undisturbed time."""
    times_ns = round_trip_ns(measured.truth, measured.round_trips)
    sent_ns = np.array([sent for sent, *_ in measured.round_trips], np.int64)[: times_ns.size]
    undisturbed: Nanoseconds = times_ns[~disturbed.touches(sent_ns)]
    return undisturbed
