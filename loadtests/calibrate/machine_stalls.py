"""The stalls of the machine during a finished run, as the run's own hiccup meters recorded them.

Every load run measures stalls (`loadtests/measure/stalls/`) and writes them to stalls.csv, so
calibration needs no meters of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.measure.results import Run
from loadtests.measure.stalls.hiccup_meter import PERIOD_NS, MeterKind
from loadtests.measure.stalls.windows import DisturbedTime, Stall


@dataclass(frozen=True, slots=True)
class MachineStalls:
    """The stalls of one machine. CLOCK_MONOTONIC nanoseconds.

    `meter` is the kind of hiccup meter; None where nothing was measured. `used` are the stalls
    near which calls are left out.
    """

    meter: MeterKind | None
    stalls: Sequence[Stall] = ()
    used: Sequence[Stall] = ()

    def stalled_share(self, since_ns: int, until_ns: int) -> float | None:
        """Share of [since, until) that the worst CPU stalled, at least; None: unknown.

        Ordinary meters see fewer stalls than real-time ones. A stall counts from the moment a meter
        was due, so of one that lasts 1 ms, half is seen on average.
        """
        if self.meter is None or until_ns <= since_ns:
            return None
        stalled_ns: dict[int, int] = {}
        for stall in self.stalls:
            inside_ns = max(0, min(stall.end_ns, until_ns) - max(stall.due_ns, since_ns))
            stalled_ns[stall.cpu] = stalled_ns.get(stall.cpu, 0) + inside_ns
        return max(stalled_ns.values(), default=0) / (until_ns - since_ns)

    def disturbed(self) -> DisturbedTime:
        """The intended starts that the run left out, by the windows of the release."""
        disturbed = DisturbedTime(min_used_ns=0)
        for stall in self.used:
            disturbed.add(stall)
        return disturbed


def stalls_of(run: Run) -> MachineStalls:
    """Read the stalls of a run of one load process. Raises OSError, KeyError or ValueError."""
    clock, info = run.info.monotonic_ns, run.info.stalls
    if clock is None or info is None:
        return MachineStalls(None)
    stalls, used = [], []
    with (run.path / "stalls.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            due_ns = clock.origin + round(float(row["start_s"]) * 1e9)
            length_ns = round(float(row["length_ms"]) * 1e6)
            # the file has no time of the last wake-up: it was one period before
            stall = Stall(int(row["cpu"]), due_ns - PERIOD_NS, due_ns, length_ns)
            stalls.append(stall)
            if row["used"] == "1":
                used.append(stall)
    return MachineStalls(info.meter, stalls, used)
