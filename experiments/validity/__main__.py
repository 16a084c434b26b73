"""Does a run call itself INVALID when, and only when, the generator distorted it?

    make bench-validity RUNS=50

N starved and N healthy Locust runs on scripted servers, which record what they truly did. A run is
starved when its reported p50, p90 or p99 is off the server's own record by more than calibration
tolerates and by more than validity says it lets pass (`docs/VALIDITY.md`); a starvation too mild
for that is drawn anew, harder. Every starved run must be INVALID, and no healthy one, however slow
its server is. A run is not healthy while the machine itself stands still, and is then made anew.
Exit code 1 if any is misjudged. Linux; as root also against real-time rivals.
"""

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass

from experiments.validity.kinds import HEALTHY, STARVED
from experiments.validity.runs import make_run
from loadtests.calibrate.figures import JUDGED, MACHINE_LOST
from loadtests.measure.health.delay_rules import OWN_LIMITS_MS

DRAWS = 6  # how often a starvation that distorts too little is drawn again


@dataclass
class Outcome:
    """One run. `off` is by how much it must be called distorted: not, between, distorted."""

    kind: str
    seed: int
    starving: bool
    off: str
    valid: bool
    rules: list
    found: str
    words: str
    machine_lost: float

    @property
    def disturbed(self):
        """The machine itself stood still."""
        return self.machine_lost > MACHINE_LOST

    @property
    def missed(self):
        """A starved run that counts, or a healthy one that does not though it is right."""
        if self.starving:
            return self.off == "distorted" and self.valid
        return not self.valid and self.off == "not" and not self.disturbed

    def __str__(self):
        said = "valid" if self.valid else f"INVALID ({', '.join(self.rules)})"
        still = f", machine lost {self.machine_lost:.2%}" if self.disturbed else ""
        return f"{self.kind} seed {self.seed}: {said}, {self.off} off{still}\n    {self.words}"


def attempt(kind, seed, measured_s, harder):
    trial = kind(random.Random(f"{kind.__name__}/{seed}/{harder}"), harder)
    info, cell, machine_lost = make_run(trial, seed, measured_s)
    words = trial.words()
    off = "not"
    if cell:
        wrong = [name for name in JUDGED if not cell.within(name)]
        much = [name for name in wrong if abs(cell.error_ms(name)) > OWN_LIMITS_MS[name]]
        off = "distorted" if much else "between" if wrong else "not"
        words += "".join(
            f"\n    {name} {cell.reported[name]:.2f} ms, true {cell.truth[name]:.2f}"
            f" ± {cell.tolerance_ms(name):.2f}{' <' if name in wrong else ''}"
            for name in JUDGED
        )
    return Outcome(
        kind=kind.__name__,
        seed=seed,
        starving=kind in STARVED,
        off=off,
        valid=info.validity.valid,
        rules=[reason.rule for reason in info.validity.reasons],
        found=" ".join(reason.found for reason in info.validity.reasons),
        words=words,
        machine_lost=machine_lost or 0.0,
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=50, help="starved, and as many healthy")
    arguments.add_argument("--first-seed", type=int, default=1)
    arguments.add_argument("--measured", type=float, default=5.0, help="seconds of each run")
    arguments.add_argument("--kind", action="append", help="only kinds whose name contains this")
    chosen = arguments.parse_args()
    outcomes, mild, disturbed = [], [], 0
    for every in (STARVED, HEALTHY):
        kinds = [k for k in every if not chosen.kind or any(w in k.__name__ for w in chosen.kind)]
        for number in range(chosen.runs if kinds else 0):
            kind, seed = kinds[number % len(kinds)], chosen.first_seed + number
            for harder in range(DRAWS):  # of a healthy run `harder` is only another draw
                outcome = attempt(kind, seed, chosen.measured, harder)
                print(f"{'MISSED: ' if outcome.missed else ''}{outcome}", flush=True)
                if outcome.starving:
                    if outcome.off == "distorted":
                        break
                    mild.append(outcome)
                elif not outcome.disturbed:
                    break
                else:
                    disturbed += 1
            outcomes.append(outcome)
    code = conclude(outcomes, mild)
    print(f"Healthy draws while the machine stood still, made anew: {disturbed}.")
    sys.exit(code)


def conclude(outcomes, mild):
    """Print the table and the misses; the exit code."""
    print("\n| kind | runs | INVALID | valid | missed | too mild, drawn again |")
    print("|---|---:|---:|---:|---:|---:|")
    for starving, name in ((True, "**starved**"), (False, "**healthy**")):
        rows = [o for o in outcomes if o.starving == starving]
        for kind in dict.fromkeys(o.kind for o in rows):
            print_row(kind.replace("_", " "), [o for o in rows if o.kind == kind], mild)
        if rows:
            print_row(name, rows, mild if starving else [])
    missed = [o for o in outcomes if o.missed]
    for o in missed:
        print(f"\nMISSED: {o}\n    {o.found}")
    for o in outcomes:
        if o.starving and o.off != "distorted":
            print(f"\nNever starved enough: {o}")
        if not o.starving and not o.valid and not o.missed:
            print(f"\nDisturbed by the machine, so rightly INVALID: {o}\n    {o.found}")
    between = [o for o in mild if o.off == "between"]
    print(
        f"\nOff by more than calibration tolerates and less than validity says it sees:"
        f" {len(between)} draws, of which {sum(not o.valid for o in between)} INVALID."
    )
    passed = [o for o in outcomes if not o.starving and o.valid and o.off != "not"]
    print(f"Healthy runs that count and are off by more than calibration tolerates: {len(passed)}.")
    given = Counter(rule for o in outcomes if o.starving for rule in o.rules)
    print(f"Reasons: {', '.join(f'{rule} {times}' for rule, times in given.most_common())}.")
    return 1 if missed else 0


def print_row(name, rows, mild):
    kinds = {o.kind for o in rows}
    redrawn = sum(o.kind in kinds for o in mild)
    invalid = sum(not o.valid for o in rows)
    cells = (len(rows), invalid, len(rows) - invalid, sum(o.missed for o in rows), redrawn)
    print(f"| {name} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
