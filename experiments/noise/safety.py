"""May the hiccup meters excuse anything? Their rate under load against that of an idle machine.

    python -m experiments.noise.safety

A meter that reports more stalls while the database freezes, collects garbage or burns the CPUs
would excuse the database. Idle and loaded pieces alternate, for both kinds of meter at once, and an
exact two-sided test compares the rates of stalls that are long enough to be used. Two more tests
use calls to a scripted server whose times are known: a list of stalls that is shifted in time must
change no tail percentile (sham test), and the true list should touch most calls over the limit
(efficiency). Exit code 1 if a kind of meter fails a test. Linux only; leave the machine alone
meanwhile, since stalls that come and go with other work are no Poisson process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from experiments.noise.loads import LOADS, Load
from experiments.noise.rates import (
    Calls,
    RateTest,
    exclude,
    p99_interval_ms,
    p99_ms,
    shifted,
)
from loadtests.calibrate.cells import ROUND_TRIP
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.calibrate.stall_injector import StallInjector, StallPlan
from loadtests.load.loop.priority import raise_priority
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.monitor import StallMonitor
from loadtests.measure.stalls.windows import MIN_USED_NS, Stall

KINDS: Final[tuple[MeterKind, ...]] = ("realtime", "ordinary")
SHIFTS_S: Final = (5, 10, 20, 30, 40, 50)
SHAM_RATE_PER_S: Final = 200.0
LIMIT_NS: Final = 10_000_000
_PRIVATE: Final = f"/safety-{os.getpid()}"  # a run's own meters are not those under test
_READ_S: Final = 0.25
_REPORT_S: Final = 0.2  # within which meters have reported what was before


class Watch:
    """Both kinds of meter, and all that they have seen."""

    def __init__(self, stack: ExitStack) -> None:
        self.monitors = {
            kind: stack.enter_context(StallMonitor(wanted=kind, private=_PRIVATE)) for kind in KINDS
        }
        self.stalls: dict[MeterKind, list[Stall]] = {kind: [] for kind in KINDS}
        for monitor in self.monitors.values():
            monitor.start()
        self.pause(1.0)
        if self.monitors["realtime"].kind != "realtime":
            sys.exit("The real-time class is not permitted: run as root, or grant CAP_SYS_NICE.")

    def read(self) -> None:
        """Read what the meters have reported."""
        for kind, monitor in self.monitors.items():
            self.stalls[kind] += monitor.read()

    def pause(self, seconds: float) -> None:
        """Wait, and read the meters meanwhile: they would wait for their reader."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(_READ_S, left_s))
            self.read()

    def piece(self, seconds: float) -> tuple[int, int]:
        """Watch for so long; begin and end, CLOCK_MONOTONIC nanoseconds."""
        begin_ns = time.monotonic_ns()
        self.pause(seconds)
        end_ns = time.monotonic_ns()
        self.pause(_REPORT_S)
        return begin_ns, end_ns

    def count(self, kind: MeterKind, pieces: Sequence[tuple[int, int]]) -> int:
        """Stalls of these pieces that are long enough to be used."""
        return sum(
            begin_ns <= stall.due_ns < end_ns and stall.length_ns >= MIN_USED_NS
            for stall in self.stalls[kind]
            for begin_ns, end_ns in pieces
        )


def test_load(watch: Watch, load: Load, piece_s: float, pairs: int) -> dict[MeterKind, RateTest]:
    """Alternate idle and loaded pieces."""
    idle, loaded = [], []
    for _ in range(pairs):
        idle.append(watch.piece(piece_s))
        with load():
            watch.read()
            loaded.append(watch.piece(piece_s))
        watch.pause(1.0)
    return {
        kind: RateTest(
            idle=watch.count(kind, idle),
            idle_s=_seconds(idle),
            loaded=watch.count(kind, loaded),
            loaded_s=_seconds(loaded),
        )
        for kind in KINDS
    }


def _seconds(pieces: Sequence[tuple[int, int]]) -> float:
    return sum(end_ns - begin_ns for begin_ns, end_ns in pieces) / 1e9


@contextmanager
def recorded_calls(watch: Watch, seconds: float) -> Iterator[Calls]:
    """Calls to a scripted server, one after the other, while the meters watch."""
    with ScriptedServer(SCRIPTS["lognormal"]) as server:
        address = urlsplit(server.url)
        command = [
            *(sys.executable, "-m", ROUND_TRIP, str(address.hostname), str(address.port)),
            *(str(SHAM_RATE_PER_S), str(seconds)),
        ]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            preexec_fn=raise_priority,  # noqa: PLW1509 - as the generator; one thread
        ) as client:
            watch.pause(seconds)
            output = client.communicate(timeout=60)[0]
        watch.pause(_REPORT_S)
    times = np.array(json.loads(output), np.int64).reshape(-1, 2)
    yield Calls(sent_ns=times[:, 0], took_ns=times[:, 1] - times[:, 0])


def sham_test(watch: Watch, seconds: float, injected: float) -> dict[MeterKind, bool]:
    """Print what the true and the shifted lists leave out; whether no shifted one mattered."""
    if injected:
        stalls = StallPlan(share=injected, min_ms=2, max_ms=10, seed=1)
        noise = StallInjector(stalls)
    else:
        noise = None
    with noise or nullcontext(), recorded_calls(watch, seconds) as calls:
        pass
    begin_ns, end_ns = int(calls.sent_ns[0]), int(calls.sent_ns[-1])
    everything_ms = p99_ms(calls.took_ns)
    print(f"\n{injected:.0%} injected, {len(calls.sent_ns):,} calls: p99 {everything_ms:.2f} ms")
    print("| meter | list | left out | p99 of the rest | of calls over 10 ms left out | |")
    print("|---|---|---:|---:|---:|---|")
    passed = {}
    for kind in KINDS:
        stalls_seen = [s for s in watch.stalls[kind] if begin_ns <= s.due_ns < end_ns]
        true = exclude(calls, stalls_seen, LIMIT_NS)
        low_ms, high_ms = p99_interval_ms(calls, 1 - true.left_out)
        print(_row(kind, "as measured", true.left_out, true.p99_ms, true.efficiency, ""))
        passed[kind] = True
        for shift_s in SHIFTS_S:
            if shift_s >= seconds:
                break  # it would wrap around to a shorter one
            moved = shifted(stalls_seen, shift_s * 1_000_000_000, begin_ns, end_ns)
            sham = exclude(calls, moved, LIMIT_NS)
            inside = low_ms <= sham.p99_ms <= high_ms
            passed[kind] &= inside
            mark = f"{'within' if inside else 'OUTSIDE'} {low_ms:.2f} to {high_ms:.2f}"
            name = f"shifted by {shift_s} s"
            print(_row(kind, name, sham.left_out, sham.p99_ms, sham.efficiency, mark))
    return passed


def _row(kind: str, name: str, left_out: float, p99: float, efficiency: float, mark: str) -> str:
    return f"| {kind} | {name} | {left_out:.1%} | {p99:.2f} ms | {efficiency:.0%} | {mark} |"


def meter_cost(kind: MeterKind, seconds: float) -> float:
    """Share of each CPU that a meter uses, without its start."""

    def cpu_s(length_s: float) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with StallMonitor(wanted=kind, private=_PRIVATE) as monitor:
            monitor.start()
            end_s = time.monotonic() + length_s
            while time.monotonic() < end_s:
                time.sleep(_READ_S)
                monitor.read()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return (cpu_s(seconds + 1) - cpu_s(1)) / (seconds * len(os.sched_getaffinity(0)))


def main() -> int:
    """Run the tests and print Markdown; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.noise.safety", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--piece", type=float, default=25.0, help="seconds of a piece")
    parser.add_argument("--pairs", type=int, default=4, help="idle and loaded pieces of each load")
    parser.add_argument("--sham", type=float, default=60.0, help="seconds of each sham test")
    parser.add_argument("--load", action="append", choices=list(LOADS), help="only this load")
    parser.add_argument("--skip-loads", action="store_true", help="only the sham test")
    options = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(os.sched_getaffinity(0))} CPUs,"
        f" load average {os.getloadavg()[0]:.1f}; stalls of {MIN_USED_NS / 1e6:g} ms or more"
    )
    for kind in KINDS:
        print(f"A meter of kind {kind} uses {meter_cost(kind, 8):.1%} of its CPU.", flush=True)
    failed: list[str] = []
    with ExitStack() as stack:
        watch = Watch(stack)
        print(
            "\n| load | meter | idle, per s | loaded, per s | p | |\n|---|---|---:|---:|---:|---|"
        )
        for name in () if options.skip_loads else options.load or LOADS:
            for kind, test in test_load(watch, LOADS[name], options.piece, options.pairs).items():
                print(_rate_row(name, kind, test), flush=True)
                if not test.safe:
                    failed.append(f"meters of kind {kind}: {name}")
        for injected in (0.0, 0.05):
            passed = sham_test(watch, options.sham, injected)
            failed += [f"meters of kind {kind}: sham test" for kind in KINDS if not passed[kind]]
    for failure in failed:
        print(f"\nMay not excuse anything: {failure}")
    return 1 if failed else 0


def _rate_row(name: str, kind: MeterKind, test: RateTest) -> str:
    idle = f"{test.idle / test.idle_s:.2f} ({test.idle} in {test.idle_s:.0f} s)"
    loaded = f"{test.loaded / test.loaded_s:.2f} ({test.loaded} in {test.loaded_s:.0f} s)"
    result = "not higher" if test.safe else "HIGHER"
    return f"| {name} | {kind} | {idle} | {loaded} | {test.p_value:.3f} | {result} |"


if __name__ == "__main__":
    sys.exit(main())
