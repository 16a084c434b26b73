"""What does the gate decide on a noisy machine? Injected stalls, real gates, one table.

    make bench-noise GATES=5

For 0, 2, 5 and 8% of each CPU taken away, in pieces of 2 to 10 ms:

- gates on healthy embedded databases: each should end PASS; FAIL would be false;
- gates on a scripted DynamoDB whose p99 is 1.5 times the limit: each should FAIL, none PASS;
- with --record SECONDS: one recorded run of that length on embedded databases, and windows of the
  gate's length drawn from it, judged as the gate does (`windows.py`). The truth is the quiet
  recording (0%).

Each gate is added to a file at once, and each recording is kept. A second start with the same
--results continues where the first one ended. Gates that last longer than --timeout count as
undecided. Linux only; it needs the real-time class (root or CAP_SYS_NICE).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist, median
from typing import Final

from experiments.noise.windows import judge_windows, record, windows_table
from experiments.slowdown.__main__ import ROOT, slowed_endpoint
from loadtests.calibrate.cells import reported_ms
from loadtests.calibrate.noise import MAX_MS, MIN_MS
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.calibrate.stall_injector import StallInjector, StallPlan
from loadtests.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_PASS
from loadtests.measure.results import read_run

LEVELS: Final = (0.0, 0.02, 0.05, 0.08)
LIMIT_MS: Final = 10.0  # the default limit on p99
SLOWED_FACTOR: Final = 1.5  # p99 of the slowed database, in limits
STATUSES: Final = {
    EXIT_PASS: "PASS",
    EXIT_FAIL: "FAIL",
    EXIT_INCONCLUSIVE: "INCONCLUSIVE",
    EXIT_INVALID: "INVALID",
}
TIMED_OUT: Final = "TIMEOUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """One gate. `p99_ms` are of DynamoDB's calls; NaN where the run left no figures."""

    level: float
    slowed: bool
    number: int
    status: str
    seconds: float
    left_out: float = math.nan
    all_p99_ms: float = math.nan
    undisturbed_p99_ms: float = math.nan


class GateSeries:
    """Makes gates and keeps their outcomes in `noise.jsonl` of a results folder."""

    def __init__(self, results: Path, flags: Sequence[str], timeout_s: float) -> None:
        self._results = results
        self._flags = flags
        self._timeout_s = timeout_s
        self._file = results / "noise.jsonl"
        results.mkdir(parents=True, exist_ok=True)
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        self.outcomes = [GateOutcome(**json.loads(line)) for line in lines]

    def made(self, level: float, number: int, *, slowed: bool) -> bool:
        """Whether an earlier start has made this gate."""
        wanted = (level, slowed, number)
        return any((o.level, o.slowed, o.number) == wanted for o in self.outcomes)

    def make(self, level: float, number: int, *, slowed: bool) -> GateOutcome:
        """Make a gate under stalls. Raises TargetError where stalls cannot be injected."""
        with ExitStack() as stack:
            flags = list(self._flags)
            if slowed:
                server = stack.enter_context(ScriptedServer(SCRIPTS["lognormal"], number + 1))
                url, slow = stack.enter_context(slowed_endpoint(server.url))
                slow(slower_by())
                flags += ["--backend", "dynamodb", "--dynamodb-endpoint", url]
            if level:
                plan = StallPlan(share=level, min_ms=MIN_MS, max_ms=MAX_MS, seed=number + 1)
                stack.enter_context(StallInjector(plan))
            outcome = self._gate(flags, level, number, slowed=slowed)
        self.outcomes.append(outcome)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        return outcome

    def _gate(
        self, flags: Sequence[str], level: float, number: int, *, slowed: bool
    ) -> GateOutcome:
        latest = self._results / "latest"
        before = latest.resolve()
        started_s = time.monotonic()
        command = [sys.executable, "-m", "loadtests", "gate", *flags, "--seed", str(number + 1)]
        process = subprocess.Popen(
            [*command, "--results", str(self._results)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=self._timeout_s)
            status = STATUSES.get(process.returncode, "")
        except subprocess.TimeoutExpired:
            process.terminate()
            output, _ = process.communicate()
            status = TIMED_OUT
        if not status:
            sys.exit(f"The gate could not run:\n{output[-2_000:]}")
        outcome = GateOutcome(
            level=level,
            slowed=slowed,
            number=number,
            status=status,
            seconds=time.monotonic() - started_s,
        )
        return outcome if latest.resolve() == before else with_figures(outcome, latest)


def with_figures(outcome: GateOutcome, path: Path) -> GateOutcome:
    """The outcome with the figures of its run folder."""
    run = read_run(path)
    fields = asdict(outcome)
    dynamodb = {key: parts for key, parts in run.intervals.items() if key.backend == "dynamodb"}
    fields["all_p99_ms"] = reported_ms(dynamodb, "response_time")["p99"]
    if run.undisturbed is not None and run.info.stalls is not None:
        rest = {key: parts for key, parts in run.undisturbed.items() if key.backend == "dynamodb"}
        fields["undisturbed_p99_ms"] = reported_ms(rest, "response_time")["p99"]
        fields["left_out"] = run.info.stalls.left_out
    return GateOutcome(**fields)


def slower_by() -> float:
    """By what share the lognormal server must be slower for a p99 of 1.5 limits."""
    script = SCRIPTS["lognormal"]
    p99_ms = script.delay_ns / 1e6 * math.exp(script.sigma * NormalDist().inv_cdf(0.99))
    return SLOWED_FACTOR * LIMIT_MS / p99_ms - 1


def table(outcomes: Sequence[GateOutcome], levels: Sequence[float]) -> str:
    """The outcomes by level, as Markdown."""
    quiet = [o.undisturbed_p99_ms for o in outcomes if not o.slowed and o.level == 0]
    lines = [
        f"Quiet p99: {_median(quiet, '.2f')} ms (undisturbed calls, nothing injected).",
        "",
        "| injected | database | gates | decided | PASS | FAIL | INCONCLUSIVE | INVALID |"
        " left out | p99, all | p99, undisturbed | s |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for level in levels:
        for slowed in (False, True):
            rows = [o for o in outcomes if (o.level, o.slowed) == (level, slowed)]
            if rows:
                lines.append(_line(level, rows, slowed=slowed))
    return "\n".join(lines)


def _line(level: float, rows: Sequence[GateOutcome], *, slowed: bool) -> str:
    statuses = Counter(row.status for row in rows)
    decided = (statuses["PASS"] + statuses["FAIL"]) / len(rows)
    cells = (
        f"{level:.0%}",
        "slowed" if slowed else "healthy",
        len(rows),
        f"{decided:.0%}",
        *(statuses[status] for status in STATUSES.values()),
        _median([row.left_out for row in rows], ".0%"),
        _median([row.all_p99_ms for row in rows], ".2f"),
        _median([row.undisturbed_p99_ms for row in rows], ".2f"),
        f"{median(row.seconds for row in rows):.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _median(values: Sequence[float], form: str) -> str:
    known = [value for value in values if not math.isnan(value)]
    return format(median(known), form) if known else "–"


def right(outcomes: Sequence[GateOutcome]) -> bool:
    """Whether no healthy gate ended FAIL and no slowed one PASS."""
    return not any(o.status == ("PASS" if o.slowed else "FAIL") for o in outcomes)


def main() -> int:
    """Make the gates and print the table; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.noise", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--gates", type=int, default=1, help="of each kind at each level")
    parser.add_argument("--level", type=float, action="append", help="share of each CPU, as 0.05")
    parser.add_argument("--only", choices=("healthy", "slowed"))
    parser.add_argument("--record", type=int, default=0, metavar="SECONDS", help="per level")
    parser.add_argument("--windows", type=int, default=300, help="drawn from each recording")
    parser.add_argument(
        "--only-limits", action="store_true", help="no comparisons of equal and slowed subjects"
    )
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of a gate at most")
    parser.add_argument("--results", type=Path, default=Path("results/noise"))
    options, flags = parser.parse_known_args()  # the rest are flags of the gate
    levels = options.level or LEVELS
    series = GateSeries(options.results.resolve(), flags, options.timeout)
    for level in levels:
        for number in range(options.gates):
            for slowed in (False, True):
                if options.only == ("healthy" if slowed else "slowed"):
                    continue
                if series.made(level, number, slowed=slowed):
                    continue
                outcome = series.make(level, number, slowed=slowed)
                print(f"{level:.0%} {'slowed' if slowed else 'healthy'}: {outcome}", flush=True)
    print("\n" + table(series.outcomes, levels), flush=True)
    windows_right = True
    if options.record:
        recordings = [record(options.results.resolve(), x, options.record, flags) for x in levels]
        quiet = dict(zip(levels, recordings, strict=True)).get(0.0)
        judged = [
            judge_windows(
                level, path, quiet=quiet, windows=options.windows, limits=options.only_limits
            )
            for level, path in zip(levels, recordings, strict=True)
        ]
        print("\n" + windows_table(judged), flush=True)
        windows_right = all(each.right for each in judged)
    return 0 if right(series.outcomes) and windows_right else 1


if __name__ == "__main__":
    sys.exit(main())
