"""The top of a report: what must be known first, and the few figures that sum the run up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import Bottleneck, Run, Validity
from loadtests.report.figures.capacity import answers_of, is_capacity_run
from loadtests.report.figures.rounding import clean, per_second, percent, plain, seconds
from loadtests.report.figures.verdict_view import NOT_JUDGED
from loadtests.report.page import Page, TableRow

_BEYOND: Final[dict[Bottleneck, str]] = {
    "database": "then the database was the bottleneck",
    "generator": "then the load generator was the bottleneck, not the database",
    "undecided": "beyond, the steps were too short to decide",
    "nothing": "its end lies beyond the highest rate tried",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """What, how much, and a line of context; `tone` fail asks for attention."""

    name: str
    value: str
    context: str
    tone: str = ""


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
    if page.judged.status == NOT_JUDGED:
        notes.append("No verdict is stored in run.json, so no interval or target is shown.")
    if info.validity is None:
        notes.append(
            "The generator's health was not judged, so the generator may have caused these figures."
        )
    else:
        notes += _reasons(info.validity)
    quiet = [f"{s.pattern} on {s.subject.label}" for s in page.series if not s.calls]
    if quiet:
        notes.append(f"No call was made for {', '.join(quiet)}.")
    return notes


def _reasons(validity: Validity) -> list[str]:
    """Why the run does not count; reasons with one remedy share a line."""
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
            f"{answer.backend} keeps the promise up to",
            per_second(rate_per_s).text
            if (rate_per_s := answer.max_sustained_per_s)
            else "no rate tried",
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
    return Fact("Load generator", "distorted the run", rules or "no reason given", "fail")
