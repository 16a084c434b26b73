"""The stored climb (`run.json["capacity_run"]`) as the report uses it; absent parts stay absent.

The form is `judge/climb.py`'s. A bare list of steps with rate, p99 and verdict is read as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.measure.results import Run
from loadtests.patterns import DISPLAY_NAMES
from loadtests.report.charts.chart import Table
from loadtests.report.rounding import (
    UNKNOWN,
    Number,
    clean,
    milliseconds,
    per_second,
    percent,
    span,
)

WORDS: Final = {"INVALID": "INVALID: generator"}


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried; `run` names the run it was measured in, where that is another."""

    backend: str
    rate: Number
    achieved: Number
    p50: Number
    p99: Number
    low_ms: float | None
    high_ms: float | None
    queued: Number
    generator: Number
    verdict: str
    sentence: str
    run: str
    limit_ms: float | None = None

    @property
    def said(self) -> str:
        """The verdict, with whose doing it was."""
        return WORDS.get(self.verdict, self.verdict)

    @property
    def interval(self) -> str:
        """The p99's bounds; nothing where it has none."""
        return span(self.low_ms, self.high_ms, "") if self.low_ms or self.high_ms else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One backend's climb in short."""

    backend: str
    keeps: Number
    knee: Number
    gave_out: str
    sentence: str


def steps_of(run: Run) -> list[Step]:
    """Every step, by backend and rate; entries that make no sense are left out."""
    steps = [_step(one, run.info.id) for one in _parts(_stored(run).get("steps"))]
    return sorted(
        (s for s in steps if s.rate.known), key=lambda s: (s.backend, s.rate.value or 0.0)
    )


def answers_of(run: Run) -> list[Answer]:
    """The answers, by backend."""
    answers = [_answer(one) for one in _parts(_stored(run).get("answers"))]
    return sorted(answers, key=lambda a: a.backend)


def limit_of(steps: Sequence[Step], otherwise: float | None) -> float | None:
    """The target that all steps were held to, in ms; None where they differ."""
    limits = {step.limit_ms for step in steps if step.limit_ms}
    if not limits:
        return otherwise
    return limits.pop() if len(limits) == 1 else None


def is_climb(run: Run) -> bool:
    """Whether it was a capacity run, whose figures over the whole would mix its rates."""
    return bool(run.info.steps or steps_of(run))


def climb_table(steps: Sequence[Step]) -> Table:
    """A row for each step."""
    head = ("Asked for", "Done", "p50", "p99", "95% interval, ms", "Queued", "Generator CPU")
    several = len({s.backend for s in steps}) > 1
    rows = tuple(
        (
            *((s.backend,) if several else ()),
            s.rate.text,
            s.achieved.text,
            s.p50.text,
            s.p99.text,
            s.interval or "–",
            s.queued.text,
            s.generator.text,
            s.said,
            s.sentence,
        )
        for s in steps
    )
    return Table((*(("Backend",) if several else ()), *head, "Verdict", "In words"), rows)


def _stored(run: Run) -> Mapping[str, Any]:
    stored = (run.info.model_extra or {}).get("capacity_run")
    if isinstance(stored, Mapping):
        return stored
    return {"steps": stored} if isinstance(stored, list) else {}


def _parts(stored: Any) -> Iterator[Mapping[str, Any]]:
    return (
        (one for one in stored if isinstance(one, Mapping))
        if isinstance(stored, list)
        else iter(())
    )


def _step(one: Mapping[str, Any], own: str) -> Step:
    backend, run = str(one.get("backend", "")), clean(one.get("run") or "")
    return Step(
        backend=DISPLAY_NAMES.get(backend, clean(backend)),
        rate=_number(one.get("rate_per_s"), per_second),
        achieved=_number(one.get("achieved_per_s"), per_second),
        p50=_number(one.get("p50_ms"), milliseconds),
        p99=_number(one.get("p99_ms"), milliseconds),
        low_ms=_number(one.get("p99_low_ms"), milliseconds).value,
        high_ms=_number(one.get("p99_high_ms"), milliseconds).value,
        queued=_number(one.get("queued"), percent),
        generator=_number(one.get("generator_cpu"), percent),
        verdict=clean(one.get("verdict") or "–"),
        sentence=clean(one.get("sentence") or "–", longest=400),
        run="" if run == own else run,
        limit_ms=_number(one.get("limit_ms"), milliseconds).value,
    )


def _answer(one: Mapping[str, Any]) -> Answer:
    backend = str(one.get("backend", ""))
    return Answer(
        backend=DISPLAY_NAMES.get(backend, clean(backend)),
        keeps=_number(one.get("keeps_per_s"), per_second),
        knee=_number(one.get("knee_per_s"), per_second),
        gave_out=clean(one.get("gave_out") or ""),
        sentence=clean(one.get("sentence") or "", longest=600),
    )


def _number(value: Any, rounded: Callable[[float], Number]) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return rounded(float(value))
