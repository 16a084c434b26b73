"""A recording per level of injected stalls, and what the gate decides on its windows."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experiments.slowdown.__main__ import ROOT
from loadtests.calibrate.figures import tolerance_ms
from loadtests.calibrate.noise import MAX_MS, MIN_MS
from loadtests.calibrate.stall_injector import StallInjector, StallPlan
from loadtests.cli.calibrate_gate import calibrate_on
from loadtests.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_PASS
from loadtests.judge.calibration.absolute import SLOWED
from loadtests.judge.calibration.percentiles import merged_percentiles_ms
from loadtests.judge.calibration.relative import CalibrationPlan, Slowdown
from loadtests.judge.calibration.table import CalibrationResults, calibration_table

DECIDED: Final = {0.0: 0.95, 0.02: 0.95, 0.05: 0.95, 0.08: 0.80}  # required, by level
SLOWED_FAILS: Final = 0.95
FALSE_ALARMS: Final = 0.01  # of interleaved comparisons of equal subjects
JUDGED_RUN: Final = {EXIT_PASS, EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_INVALID}
WARM_UP_S: Final = 60  # DynamoDB Local compiles its code


def record(results: Path, level: float, seconds: int, flags: Sequence[str]) -> Path:
    """A run of that length on embedded databases under stalls; an earlier one is taken as is.

    Raises TargetError where stalls cannot be injected.
    """
    folder = results / "recordings" / f"{level:.0%}-{seconds}s"
    latest = folder / "latest"
    if (latest / "run.json").exists():
        return latest.resolve()
    building = folder.with_name(f"{folder.name}.part")
    command = [sys.executable, "-m", "loadtests", "gate", *flags, "--warm-up", str(WARM_UP_S)]
    command += ["--run-time", str(seconds + WARM_UP_S), "--results", str(building)]
    command += ["--max-extension", "0"]
    plan = StallPlan(share=level, min_ms=MIN_MS, max_ms=MAX_MS, seed=1) if level else None
    print(f"Recording {seconds} s under {level:.0%} injected stalls.", flush=True)
    with StallInjector(plan) if plan else nullcontext():
        process = subprocess.run(
            command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
    if process.returncode not in JUDGED_RUN or not (building / "latest" / "run.json").exists():
        sys.exit(f"The recording could not be made:\n{(process.stdout + process.stderr)[-2_000:]}")
    building.rename(folder)
    return latest.resolve()


@dataclass(frozen=True, slots=True)
class JudgedWindows:
    """What the gate decided on the windows of one recording."""

    level: float
    results: CalibrationResults

    @property
    def decided(self) -> float:
        """Share of the windows that ended PASS or FAIL at the configured limits."""
        healthy = self.results.limits[None]
        return healthy.rate("PASS") + healthy.rate("FAIL")

    @property
    def off_ms(self) -> dict[tuple[str, str], tuple[float, float]]:
        """How far the undisturbed percentiles are from the truth at the median, and the tolerance.

        By database and percentile. Empty where the recording measured no stalls.
        """
        source = self.results.quiet or self.results.recordings[0]
        if source.undisturbed is None:
            return {}
        return {
            (backend, name): (
                self.results.percentiles[backend, name, "undisturbed"].at(0.5) - true_ms,
                tolerance_ms(true_ms, 0.0),
            )
            for (backend, name), true_ms in merged_percentiles_ms(source.undisturbed).items()
        }

    @property
    def misses(self) -> list[str]:
        """What is required and was not reached."""
        healthy, slowed = self.results.limits[None], self.results.limits[SLOWED]
        required = {
            "too few windows decided": self.decided >= DECIDED.get(self.level, 0.0),
            "false FAIL": not healthy.runs["FAIL"],
            "slowed database not found": slowed.rate("FAIL") >= SLOWED_FAILS,
            "slowed database passed": not slowed.runs["PASS"],
        }
        required |= {
            f"{backend} {name} off by {off:+.2f} ms": abs(off) <= tolerance
            for (backend, name), (off, tolerance) in self.off_ms.items()
        }
        if self.results.interleaved:
            equal = self.results.interleaved[None]
            required["interleaved false alarms"] = equal.rate("FAIL") <= FALSE_ALARMS
        return [miss for miss, reached in required.items() if not reached]

    @property
    def right(self) -> bool:
        """Whether everything that is required was reached."""
        return not self.misses


def judge_windows(
    level: float, path: Path, *, quiet: Path | None, windows: int, limits: bool
) -> JudgedWindows:
    """Judge windows drawn from a recording and print all tables; `limits`: only limits."""
    plan = CalibrationPlan(runs=windows, comparisons=windows)
    results = calibrate_on([path], plan, quiet=quiet, only_limits=limits)
    print(f"\n## Windows under {level:.0%} injected stalls\n\n{calibration_table(results)}")
    return JudgedWindows(level, results)


def windows_table(judged: Sequence[JudgedWindows]) -> str:
    """One line per level, as Markdown."""
    lines = [
        "| injected | left out | windows | decided | PASS | FAIL | INCONCLUSIVE | s |"
        " slowed: FAIL | PASS | undisturbed p99 − true, ms | A/A FAIL | +20% found | missed |",
        f"|{'---:|' * 13}---|",
    ]
    return "\n".join([*lines, *map(_line, judged)])


def _line(windows: JudgedWindows) -> str:
    results = windows.results
    healthy, slowed = results.limits[None], results.limits[SLOWED]
    off = [f"{off:+.2f}" for (_, name), (off, _) in windows.off_ms.items() if name == "p99"]
    equal = found = math.nan
    if results.interleaved:
        equal = results.interleaved[None].rate("FAIL")
        found = results.interleaved[Slowdown("all", "backend", 0.20)].power
    cells = (
        f"{windows.level:.0%}",
        f"{results.recordings[0].left_out or 0.0:.1%}",
        healthy.runs.total(),
        f"{windows.decided:.1%}",
        *(f"{healthy.rate(status):.1%}" for status in ("PASS", "FAIL", "INCONCLUSIVE")),
        f"{healthy.mean_s:.0f}",
        f"{slowed.rate('FAIL'):.1%}",
        f"{slowed.rate('PASS'):.1%}",
        ", ".join(off) or "–",
        "–" if math.isnan(equal) else f"{equal:.1%}",
        "–" if math.isnan(found) else f"{found:.1%}",
        "; ".join(windows.misses) or "–",
    )
    return f"| {' | '.join(map(str, cells))} |"
