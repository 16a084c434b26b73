"""The top of a report: what must be known first, and the few figures that sum the run up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import Bottleneck, Run, Validity
from loadtests.patterns import DISPLAY_NAMES
from loadtests.report.figures.capacity import answers_of, is_capacity_run
from loadtests.report.figures.rounding import clean, per_second, percent, plain, seconds
from loadtests.report.figures.stalls import basis_words
from loadtests.report.figures.verdict_view import NOT_JUDGED
from loadtests.report.page import Page, TableRow

_BEYOND: Final[dict[Bottleneck, str]] = {
    "database": "then the database was the bottleneck",
    "generator": "then the load generator was the bottleneck, not the database",
    "undecided": "beyond, the steps were too short to decide",
    "nothing": "its end lies beyond the highest rate tried",
}
_LEFT_OUT: Final = "figures called “undisturbed” rest"


@dataclass(frozen=True, slots=True)
class Fact:
    """What, how much, and a line of context; `tone` fail asks for attention."""

    name: str
    value: str
    context: str
    tone: str = ""


def scenario_errors_of(page: Page) -> list[str]:
    """A sentence for each kind of error that the scenario's own code raised."""
    return [
        f"The scenario raised {error.name} in {error.pattern} on"
        f" {DISPLAY_NAMES.get(error.backend, error.backend)}"
        + (f": {error.message}" if error.message else "")
        + (f" ({error.place})." if error.place else ".")
        for error in page.run.info.scenario_errors
    ]


def notes_of(page: Page) -> list[str]:
    """What a reader must know before believing the rest."""
    info, notes = page.run.info, []
    if info.state == "interrupted":
        notes.append("The run was interrupted: the figures cover what was measured until then.")
    elif info.state == "running":
        notes.append(
            "The run has not ended, or ended without a last word: the figures cover what is in "
            "its log."
        )
    if not page.series:
        notes.append("Nothing was measured: the log holds no call.")
    notes += scenario_errors_of(page)
    if page.judged.status == NOT_JUDGED:
        notes.append("No verdict is stored in run.json, so no interval or target is shown.")
    if info.validity is None:
        notes.append(
            "The generator's health was not judged, so the generator may have caused these figures."
        )
    else:
        notes += _reasons(info.validity, page.judged.status)
    if page.left_out is not None:
        notes.append(f"{_LEFT_OUT[:1].upper()}{_LEFT_OUT[1:]} {basis_words(page.left_out)}.")
    quiet = [f"{s.pattern} on {s.subject.label}" for s in page.series if not s.calls]
    if quiet:
        notes.append(f"No call was made for {', '.join(quiet)}.")
    return notes


def what_to_do(page: Page) -> str:
    """What decides an undecided run; empty for another."""
    verdict = page.run.info.verdict
    if verdict is None or verdict.status != "INCONCLUSIVE":
        return ""
    decides = [limit for limit in verdict.limits if limit.decides]
    if verdict.not_judged and all(limit.status == "PASS" for limit in decides):
        return "What to do: run a scenario that calls them, or take their limits out of the file."
    undecided = [limit for limit in decides if limit.status == "INCONCLUSIVE"]
    if page.run.info.config.load.subjects and any(limit.kind == "relative" for limit in undecided):
        return "What to do: measure longer (--run-time), or on a less busy machine."
    if verdict.needed_s is None or "longer run" in verdict.sentence:
        return "What to do: look at the limit or at the slowest part; more calls will not decide."
    run_time = math.ceil(verdict.needed_s + page.run.info.warm_up_s)
    return f"What to do: measure longer (--run-time {run_time}s), or on a less busy machine."


def added_delay(validity: Validity | None) -> bool:
    """Whether the generator only added delay, so that limits that hold still hold."""
    if validity is None or validity.valid or not validity.reasons:
        return False
    return all(reason.rules_out == "FAIL" for reason in validity.reasons)


def reasons_of(page: Page) -> list[str]:
    """Why an invalid run does not count, each with its remedy."""
    validity, verdict = page.run.info.validity, page.run.info.verdict
    reasons = _reasons(validity, page.judged.status) if validity else []
    return reasons or [_sentence(reason) for reason in (verdict.reasons if verdict else ())]


def _reasons(validity: Validity, status: str) -> list[str]:
    """Why the run does not count; reasons with one remedy share a line."""
    if status != "INVALID" and added_delay(validity):
        rules = ", ".join(clean(reason.rule) for reason in validity.reasons)
        return [
            f"Delay was added on this machine ({rules}). It can only make response times longer: "
            "a limit that is met in spite of it is met."
        ]
    texts_by_remedy: dict[str, list[str]] = {}
    for reason in validity.reasons:
        remedy = clean(reason.remedy, longest=400)
        texts_by_remedy.setdefault(remedy, []).append(_sentence(clean(reason.found, longest=400)))
    return [
        f"{' '.join(texts)} Remedy: {_sentence(remedy)}"
        for remedy, texts in texts_by_remedy.items()
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def facts_of(page: Page) -> list[Fact]:
    """The slowest p99, the calls, the errors and the generator's health."""
    info, rows = page.run.info, page.rows
    calls = int(sum(r.calls.value or 0 for r in rows))
    failed = int(sum(r.errors.value or 0 for r in rows))
    measured = seconds(page.measured_s) if page.measured_s else "no time at all"
    warm_up = f", after {seconds(info.warm_up_s)} of warm-up" if info.warm_up_s else ""
    share = f"{percent(failed / calls).text} of calls" if failed and calls else "no call failed"
    return [
        *(_kept(page.run) if is_capacity_run(page.run) else [_slowest(rows)]),
        Fact("Calls", f"{calls:,}", f"in {measured}{warm_up}"),
        Fact("Errors", f"{failed:,}", share if calls else "no calls"),
        _generator(page.run),
    ]


def _kept(run: Run) -> list[Fact]:
    """How far each backend of a capacity run came."""
    return [
        Fact(
            f"{answer.backend} keeps the promise "
            + ("up to" if answer.max_sustained_per_s else "at"),
            per_second(rate_per_s).text
            if (rate_per_s := answer.max_sustained_per_s)
            else "none of the rates tried",
            _BEYOND[answer.bottleneck],
            "" if rate_per_s else "fail",
        )
        for answer in answers_of(run)
    ]


def _slowest(rows: Sequence[TableRow]) -> Fact:
    known = [r for r in rows if r.p99.value.known]
    if not known:
        return Fact("Slowest p99", "–", "no series has enough calls for a p99")
    worst = max(known, key=lambda r: r.p99.value.value or 0.0)
    aim = f"; target {plain(worst.p99.target.value or 0)} ms" if worst.p99.target.known else ""
    where = f"{worst.pattern} on {worst.subject.label}{aim}"
    return Fact("Slowest p99", worst.p99.value.text, where, "fail" if worst.p99.over else "")


def _generator(run: Run) -> Fact:
    validity = run.info.validity
    if validity is None:
        return Fact("Load generator", "not judged", "no health in run.json")
    if validity.valid:
        if is_capacity_run(run):
            return Fact("Load generator", "judged by step", "see the verdict of each")
        return Fact("Load generator", "healthy", "it did not distort the figures")
    rules = ", ".join(clean(r.rule) for r in validity.reasons)
    if run.info.verdict and run.info.verdict.status != "INVALID" and added_delay(validity):
        return Fact("Load generator", "added delay", f"limits that hold still hold; {rules}")
    return Fact("Load generator", "distorted the run", rules or "no reason given", "fail")
