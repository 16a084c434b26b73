"""Is each scheduled arrival in the figures, and has each measured second arrived?

The argument that delay by the machine can only add to a response time needs both. The schedule is
counted where it is drawn, the calls where they are merged; the two counts know nothing of each
other. They agree only at the end of a run: until then some calls are under way.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests.measure.health.signals import Signal
from loadtests.measure.results import Reason, RunInfo
from loadtests.measure.series import SeriesPart, subject_of
from loadtests.measure.stalls.seconds import ClassifiedSecond

ARRIVALS_RULE: Final = "scheduled arrivals"
SECONDS_RULE: Final = "missing seconds"
_TOLERANCE_S: Final = 0.002  # health.csv has four decimals
_LOOK: Final = "Look at that worker's log and repeat the run."
_CALLS: Final = (
    "Let each method of the scenario make exactly one self.call, then repeat the run; if it does,"
    " report this as an error of the load generator."
)


@dataclass(slots=True)
class SecondsSeen:
    """Which measured seconds of one load process have arrived; seconds since the run's start."""

    warm_up_s: float
    until_s: float = 0.0
    missing: list[tuple[float, float]] = field(default_factory=list)
    repeated: int = 0

    def add(self, start_s: float, length_s: float) -> None:
        """Add a second; seconds of one process come in order."""
        end_s = start_s + length_s
        if start_s < self.until_s - _TOLERANCE_S:
            self.repeated += 1
        # a process that stopped for some time describes that time as one long second
        elif start_s > self.until_s + _TOLERANCE_S and start_s > self.warm_up_s:
            self.missing.append((max(self.until_s, self.warm_up_s), start_s))
        self.until_s = max(self.until_s, end_s)

    @property
    def finding(self) -> str:
        """What is wrong, as a clause; empty when every second has arrived once."""
        if self.missing:
            spans = ", ".join(f"{begin:.1f} to {end:.1f} s" for begin, end in self.missing[:3])
            more = " and later" if len(self.missing) > 3 else ""
            return f"its measured time from {spans}{more} is missing ({self.missing_s:.1f} s)"
        if self.repeated:
            return f"{self.repeated} of its seconds arrived twice"
        return ""

    @property
    def missing_s(self) -> float:
        """How much measured time is missing."""
        return sum(end - begin for begin, end in self.missing)


@dataclass(slots=True)
class _WorkerAccount:
    seconds: SecondsSeen
    scheduled: Counter[str] = field(default_factory=Counter)
    recorded: Counter[str] = field(default_factory=Counter)
    ended: bool = False


class RunAccount:
    """The arrivals and seconds of all load processes of a run."""

    def __init__(self, sources: Sequence[str], warm_up_s: float) -> None:
        self._workers = {name: _WorkerAccount(SecondsSeen(warm_up_s)) for name in sources}

    def add(self, second: ClassifiedSecond) -> None:
        """Add a second of a load process."""
        account = self._workers.get(second.row.worker)
        if account is None:
            return
        account.seconds.add(second.row.time_s, second.row.length_s)
        account.scheduled.update(second.scheduled)
        account.recorded.update(calls_by_subject(second.parts))
        account.ended |= second.last

    def lose(self, worker: str) -> None:
        """A worker is gone, which is a broken rule by itself."""
        self._workers.pop(worker, None)

    def signals(self) -> Iterator[Signal]:
        """Both rules at the end of a run, each of its worst worker."""
        if not self._workers:
            return
        seconds = [_seconds_signal(name, account) for name, account in self._workers.items()]
        yield max(seconds, key=lambda signal: (not signal.ok, signal.value or 0.0))
        arrivals = [_arrivals_signal(name, account) for name, account in self._workers.items()]
        yield max(arrivals, key=lambda signal: (not signal.ok, signal.value or 0.0))


def calls_by_subject(parts: Iterable[SeriesPart]) -> Counter[str]:
    """Measured calls in these parts, unfinished ones included, by subject."""
    calls: Counter[str] = Counter()
    for part in parts:
        if not part.warm_up:
            subject = subject_of(part.name.backend, part.name.driver)
            calls[subject] += int(part.counts["response_time"].total)
    return calls


def _seconds_signal(worker: str, account: _WorkerAccount) -> Signal:
    finding = account.seconds.finding
    if not finding and not account.ended:
        finding = (
            f"it did not report its end; its last second ended at {account.seconds.until_s:.1f} s"
        )
    text = f"{worker}: {finding}." if finding else f"Every measured second of {worker} arrived."
    missing_s = account.seconds.missing_s
    return Signal(SECONDS_RULE, text, missing_s, "s", 0.0, not finding, worker, _LOOK)


def _arrivals_signal(worker: str, account: _WorkerAccount) -> Signal:
    scheduled, recorded = account.scheduled, account.recorded
    differing = {
        subject: scheduled[subject] - recorded[subject]
        for subject in sorted(set(scheduled) | set(recorded))
        if scheduled[subject] != recorded[subject]
    }
    if not differing:
        text = f"All {scheduled.total():,} scheduled arrivals of {worker} are in the figures."
        return Signal(ARRIVALS_RULE, text, 0.0, "arrivals", 0.0, True, worker)
    clauses = [
        f"{missing:,} of {scheduled[subject]:,} arrivals on {subject} are neither a completed nor"
        " an unfinished call"
        if missing > 0
        else f"{recorded[subject]:,} calls on {subject} were recorded for"
        f" {scheduled[subject]:,} arrivals"
        for subject, missing in differing.items()
    ]
    text = f"{worker}: {'; '.join(clauses)}."
    value = float(sum(abs(missing) for missing in differing.values()))
    return Signal(ARRIVALS_RULE, text, value, "arrivals", 0.0, False, worker, _CALLS)


# --- of a run folder


def folder_reasons(path: Path, info: RunInfo) -> list[Reason]:
    """What is missing in the health.csv of a complete run; nothing where there is no such file.

    Folders of versions that did not count the schedule are checked for missing seconds alone.
    Micro-benchmarks have no schedule, and pause between their suites: nothing can be missing.
    """
    file = path / "health.csv"
    if info.state != "complete" or info.micro is not None or not file.exists():
        return []
    seen: dict[str, SecondsSeen] = {}
    scheduled: int | None = 0
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                worker = seen.setdefault(row["worker"], SecondsSeen(info.warm_up_s))
                worker.add(float(row["time_s"]), float(row["length_s"]))
                counted = row.get("scheduled")
                scheduled = None if scheduled is None or not counted else scheduled + int(counted)
    except (OSError, ValueError, KeyError, TypeError):
        return [_reason(SECONDS_RULE, f"{file.name} cannot be read.")]
    findings = {worker: each.finding for worker, each in seen.items() if each.finding}
    reasons = [
        _reason(SECONDS_RULE, f"{file.name}, {worker}: {finding}.")
        for worker, finding in findings.items()
    ]
    end_s = max((each.until_s for each in seen.values()), default=0.0)
    if not reasons and end_s < info.duration_s - 1.0 - _TOLERANCE_S:
        text = f"{file.name} ends at {end_s:.1f} s, the run at {info.duration_s:.1f} s."
        reasons.append(_reason(SECONDS_RULE, text))
    recorded = sum(series.count for series in info.series)
    if not reasons and scheduled is not None and scheduled != recorded:
        text = f"{file.name} has {scheduled:,} scheduled arrivals, run.json {recorded:,} calls."
        reasons.append(_reason(ARRIVALS_RULE, text))
    return reasons


def _reason(rule: str, text: str) -> Reason:
    remedy = "Copy the folder again from its source, or repeat the run."
    return Reason(rule=rule, found=text, remedy=remedy)
