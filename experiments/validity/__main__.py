"""Does a run call itself INVALID when, and only when, the generator distorted it?

    make bench-validity RUNS=50

N starved and N healthy Locust runs on scripted servers, which record what they truly did. A run
counts as starved when its reported p50, p90 or p99 differs from the server's own record by more
than the calibration tolerates and by more than validity claims to let pass. A starvation too mild
for that is drawn again, harder. Every starved run must be INVALID, and no healthy run may be,
however slow its server is. A healthy run during which the machine itself stalled is repeated. Exit
code 1 if any run is misjudged. Linux only; as root also against real-time rivals.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from experiments.validity.kinds import HEALTHY, STARVED, Kind
from experiments.validity.runs import make_run
from loadtests.calibrate.figures import JUDGED, MAX_STALLED_SHARE
from loadtests.measure.health.delay_rules import DELAY_LIMITS_MS

DRAWS: Final = 6  # how often a starvation that distorts too little is drawn again

Error = Literal["none", "small", "distorted"]  # the figures' error against the ground truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run, and whether it judged itself correctly."""

    kind: str
    seed: int
    starved: bool
    error: Error
    valid: bool
    rules: Sequence[str]
    findings: str
    description: str
    stalled_share: float

    @property
    def stalled(self) -> bool:
        """Whether the machine itself stalled."""
        return self.stalled_share > MAX_STALLED_SHARE

    @property
    def missed(self) -> bool:
        """Whether it is a starved run that counts, or a healthy, correct one that does not."""
        if self.starved:
            return self.error == "distorted" and self.valid
        return not self.valid and self.error == "none" and not self.stalled

    def __str__(self) -> str:
        verdict = "valid" if self.valid else f"INVALID ({', '.join(self.rules)})"
        stalled = f", machine stalled {self.stalled_share:.2%}" if self.stalled else ""
        return (
            f"{self.kind} seed {self.seed}: {verdict}, error {self.error}{stalled}\n"
            f"    {self.description}"
        )


def attempt(kind: Kind, seed: int, measured_s: float, harder: int) -> Outcome:
    """Draw a trial and make its run."""
    trial = kind(random.Random(f"{kind.__name__}/{seed}/{harder}"), harder)
    info, cell, stalled_share = make_run(trial, seed, measured_s)
    description = trial.description()
    error: Error = "none"
    if cell:
        wrong = [name for name in JUDGED if not cell.within(name)]
        distorted = [name for name in wrong if abs(cell.error_ms(name)) > DELAY_LIMITS_MS[name]]
        error = "distorted" if distorted else "small" if wrong else "none"
        description += "".join(
            f"\n    {name} {cell.reported_ms[name]:.2f} ms, true {cell.true_ms[name]:.2f}"
            f" ± {cell.tolerance_ms(name):.2f}{' <' if name in wrong else ''}"
            for name in JUDGED
        )
    assert info.validity is not None
    return Outcome(
        kind=kind.__name__,
        seed=seed,
        starved=kind in STARVED,
        error=error,
        valid=info.validity.valid,
        rules=[reason.rule for reason in info.validity.reasons],
        findings=" ".join(reason.found for reason in info.validity.reasons),
        description=description,
        stalled_share=stalled_share or 0.0,
    )


def main() -> int:
    """Make the runs and print the table; the exit code."""
    arguments = argparse.ArgumentParser(
        prog="python -m experiments.validity", description=(__doc__ or "").splitlines()[0]
    )
    arguments.add_argument("--runs", type=int, default=50, help="starved runs, and healthy ones")
    arguments.add_argument("--first-seed", type=int, default=1)
    arguments.add_argument("--measured", type=float, default=5.0, help="seconds of each run")
    arguments.add_argument("--kind", action="append", help="only kinds whose name contains this")
    options = arguments.parse_args()
    outcomes: list[Outcome] = []
    too_mild: list[Outcome] = []
    repeated = 0
    for kinds in (STARVED, HEALTHY):
        selected = [
            kind
            for kind in kinds
            if not options.kind or any(word in kind.__name__ for word in options.kind)
        ]
        for number in range(options.runs if selected else 0):
            kind, seed = selected[number % len(selected)], options.first_seed + number
            for harder in range(DRAWS):
                outcome = attempt(kind, seed, options.measured, harder)
                print(f"{'MISSED: ' if outcome.missed else ''}{outcome}", flush=True)
                if outcome.starved:
                    if outcome.error == "distorted":
                        break
                    too_mild.append(outcome)
                elif not outcome.stalled:
                    break
                else:
                    repeated += 1
            outcomes.append(outcome)
    code = conclude(outcomes, too_mild)
    print(f"Healthy runs repeated because the machine stalled: {repeated}.")
    return code


def conclude(outcomes: Sequence[Outcome], too_mild: Sequence[Outcome]) -> int:
    """Print the table and the misses; the exit code."""
    print("\n| kind | runs | INVALID | valid | missed | too mild, drawn again |")
    print("|---|---:|---:|---:|---:|---:|")
    for starved, name in ((True, "**starved**"), (False, "**healthy**")):
        rows = [outcome for outcome in outcomes if outcome.starved == starved]
        for kind in dict.fromkeys(outcome.kind for outcome in rows):
            of_kind = [outcome for outcome in rows if outcome.kind == kind]
            print_row(kind.replace("_", " "), of_kind, too_mild)
        if rows:
            print_row(name, rows, too_mild if starved else [])
    missed = [outcome for outcome in outcomes if outcome.missed]
    for outcome in missed:
        print(f"\nMISSED: {outcome}\n    {outcome.findings}")
    for outcome in outcomes:
        if outcome.starved and outcome.error != "distorted":
            print(f"\nNever starved enough: {outcome}")
        if not outcome.starved and not outcome.valid and not outcome.missed:
            print(f"\nDisturbed by the machine, so INVALID is right: {outcome}")
            print(f"    {outcome.findings}")
    small = [outcome for outcome in too_mild if outcome.error == "small"]
    print(
        "\nError beyond the calibration's tolerance and below what validity claims to see:"
        f" {len(small)} draws, of which {sum(not outcome.valid for outcome in small)} INVALID."
    )
    wrong = [o for o in outcomes if not o.starved and o.valid and o.error != "none"]
    print(f"Healthy runs that count with an error beyond the tolerance: {len(wrong)}.")
    rules = Counter(rule for outcome in outcomes if outcome.starved for rule in outcome.rules)
    print(f"Reasons: {', '.join(f'{rule} {count}' for rule, count in rules.most_common())}.")
    return 1 if missed else 0


def print_row(name: str, rows: Sequence[Outcome], too_mild: Sequence[Outcome]) -> None:
    """Print one row of the table."""
    kinds = {outcome.kind for outcome in rows}
    redrawn = sum(outcome.kind in kinds for outcome in too_mild)
    invalid = sum(not outcome.valid for outcome in rows)
    missed = sum(outcome.missed for outcome in rows)
    cells = (len(rows), invalid, len(rows) - invalid, missed, redrawn)
    print(f"| {name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    sys.exit(main())
