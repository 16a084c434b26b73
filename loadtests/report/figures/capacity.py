"""The steps and answers of a capacity run as a report shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import CapacityAnswer, JudgedStep, Run, Status
from loadtests.patterns import DISPLAY_NAMES
from loadtests.report.figures.rounding import (
    UNKNOWN,
    Number,
    clean,
    milliseconds,
    per_second,
    percent,
    span,
)

WORDS: Final = {"INVALID": "INVALID: generator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """One step with its figures rounded; `run` names its run, where that is another one."""

    backend: str
    rate: Number
    achieved: Number
    p50: Number
    p99: Number
    low_ms: float | None
    high_ms: float | None
    queued: Number
    generator: Number
    left_out: Number
    verdict: Status
    sentence: str
    run: str
    limit_ms: float | None

    @property
    def verdict_words(self) -> str:
        """The verdict; INVALID says that the generator was the bottleneck."""
        return WORDS.get(self.verdict, self.verdict)

    @property
    def interval(self) -> str:
        """The p99's bounds; empty where it has none."""
        return span(self.low_ms, self.high_ms, "") if self.low_ms or self.high_ms else ""


def steps_of(run: Run) -> list[StepFigures]:
    """Every judged step, by backend and rate."""
    stored = run.info.capacity_run
    steps = sorted(stored.steps if stored else (), key=lambda s: (_name(s.backend), s.rate_per_s))
    return [_figures(step, run.info.id) for step in steps]


def answers_of(run: Run) -> list[CapacityAnswer]:
    """The answers, by backend, which are shown by their names."""
    stored = run.info.capacity_run
    answers = [
        answer.model_copy(
            update={
                "backend": _name(answer.backend),
                "sentence": clean(answer.sentence, longest=600),
            }
        )
        for answer in (stored.answers if stored else ())
    ]
    return sorted(answers, key=lambda answer: answer.backend)


def _name(backend: str) -> str:
    return DISPLAY_NAMES.get(backend, clean(backend))


def _figures(step: JudgedStep, own: str) -> StepFigures:
    return StepFigures(
        backend=_name(step.backend),
        rate=per_second(step.rate_per_s),
        achieved=per_second(step.achieved_per_s),
        p50=milliseconds(step.p50_ms),
        p99=milliseconds(step.p99_ms),
        low_ms=step.p99_low_ms,
        high_ms=step.p99_high_ms,
        queued=percent(step.queued),
        generator=_known(step.generator_cpu, percent),
        left_out=_known(step.left_out, percent),
        verdict=step.verdict,
        sentence=clean(step.sentence, longest=400) or "–",
        run="" if step.run == own else clean(step.run),
        limit_ms=step.limit_ms,
    )


def _known(value: float | None, rounded: Callable[[float], Number]) -> Number:
    return UNKNOWN if value is None else rounded(value)


def limit_of(steps: Sequence[StepFigures], otherwise: float | None) -> float | None:
    """The target that all steps were held to, in ms; None where they differ."""
    limits = {step.limit_ms for step in steps if step.limit_ms}
    if not limits:
        return otherwise
    return limits.pop() if len(limits) == 1 else None


def is_capacity_run(run: Run) -> bool:
    """Whether it was a capacity run, whose figures over the whole would mix its rates."""
    return bool(run.info.steps or run.info.capacity_run)
