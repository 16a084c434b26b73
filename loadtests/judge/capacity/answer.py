"""The answer of a capacity run: the highest sustained rate, the knee and the bottleneck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtests.config import SettingsOrigin, Slo
from loadtests.judge.capacity.steps import judge_steps
from loadtests.judge.judging import worst_status
from loadtests.judge.sentences import three_digits
from loadtests.judge.stats.distributions import one_sided
from loadtests.judge.storing import store_verdict
from loadtests.measure.results import (
    Bottleneck,
    CapacityAnswer,
    CapacityRun,
    JudgedStep,
    Run,
    Status,
    Verdict,
)
from loadtests.patterns import DISPLAY_NAMES

STEPS_TO_STOP: Final = 2  # overloaded or invalid steps in a row that end the ramp


def should_stop(steps: Sequence[JudgedStep]) -> bool:
    """Whether the ramp should end: the last two steps were overloaded or invalid."""
    last = steps[-STEPS_TO_STOP:]
    return len(last) == STEPS_TO_STOP and all(
        step.overloaded or step.verdict == "INVALID" for step in last
    )


def answer_of(steps: Sequence[JudgedStep]) -> CapacityAnswer:
    """The answer of one backend's steps, in rising order. Raises ValueError for none."""
    if not steps:
        raise ValueError("a capacity run without steps")
    passed = [n for n, step in enumerate(steps) if step.verdict == "PASS"]
    top = passed[-1] if passed else -1
    above = steps[top + 1 :]
    failed = next((step for step in above if step.verdict == "FAIL"), None)
    # without a step that passed, the first one decides: higher rates are expected to be worse
    status: Status = "PASS" if passed else steps[0].verdict
    bottleneck = _bottleneck(above)
    knee = knee_of(steps)
    return CapacityAnswer(
        backend=steps[0].backend,
        status=status,
        max_sustained_per_s=steps[top].rate_per_s if passed else None,
        min_failed_per_s=failed.rate_per_s if failed else None,
        knee_per_s=knee.rate_per_s if knee else None,
        bottleneck=bottleneck,
        sentence=_sentence(steps, top, bottleneck, knee),
    )


def knee_of(steps: Sequence[JudgedStep]) -> JudgedStep | None:
    """The step of highest power (throughput over p99); None if no later step has less.

    Kleinrock, ICC 1979. Until power falls, the knee is not reached.
    """
    valid = [step for step in steps if step.verdict != "INVALID"]
    with_p99 = [step for step in valid if step.p99_ms]
    if not with_p99:
        return None
    best = max(with_p99, key=lambda step: step.achieved_per_s / (step.p99_ms or 1.0))
    return best if any(step.rate_per_s > best.rate_per_s for step in valid) else None


def store_capacity_run(
    run: Run,
    slo: Slo,
    confidence: float,
    others: Sequence[CapacityRun] | None = None,
    limits_from: SettingsOrigin | None = None,
) -> tuple[Run, Verdict]:
    """Judge every step and write `capacity_run` and the verdict into run.json.

    `others` are the capacity runs of other backends, to be shown with this one's; by default those
    that are already stored stay. Returns the run with both. Raises ConfigError when there is no
    p99 limit, ResultsError for a run without steps.
    """
    own = capacity_of(run, slo, confidence)
    verdict = verdict_of(run, own.answers, confidence).model_copy(
        update={"slo": slo, "limits_from": limits_from}
    )
    shown = [own, *([_others_in(run)] if others is None else others)]
    capacity_run = CapacityRun(
        confidence=confidence,
        steps=tuple(step for part in shown for step in part.steps),
        answers=tuple(answer for part in shown for answer in part.answers),
    )
    return store_verdict(run, verdict, capacity_run), verdict


def capacity_of(run: Run, slo: Slo, confidence: float) -> CapacityRun:
    """This run's own steps and answers."""
    steps = judge_steps(run, slo, confidence)
    answers = [answer_of(of_backend) for of_backend in by_backend(steps)]
    return CapacityRun(confidence=confidence, steps=tuple(steps), answers=tuple(answers))


def measured_in(capacity_run: CapacityRun, run_id: str) -> CapacityRun:
    """The same with every step naming the run that it was measured in."""
    steps = tuple(step.model_copy(update={"run": run_id}) for step in capacity_run.steps)
    return capacity_run.model_copy(update={"steps": steps})


def _others_in(run: Run) -> CapacityRun:
    """What run.json already shows of other runs."""
    stored = run.info.capacity_run or CapacityRun(confidence=0.95)
    steps = tuple(step for step in stored.steps if step.run not in ("", run.info.id))
    backends = {step.backend for step in steps}
    answers = tuple(answer for answer in stored.answers if answer.backend in backends)
    return stored.model_copy(update={"steps": steps, "answers": answers})


def by_backend(steps: Sequence[JudgedStep]) -> list[list[JudgedStep]]:
    """Each backend's steps, in the order in which the backends were measured."""
    backends = dict.fromkeys(step.backend for step in steps)
    return [[step for step in steps if step.backend == backend] for backend in backends]


def verdict_of(run: Run, answers: Sequence[CapacityAnswer], confidence: float) -> Verdict:
    """The verdict of the run: the worst of its backends' answers."""
    validity = run.info.validity
    reasons = (
        [f"{reason.rule}: {reason.found} {reason.remedy}".strip() for reason in validity.reasons]
        if (validity and not validity.valid)
        else []
    )
    if not answers and not reasons:
        reasons = ["The run ended before its first step did."]
    status = "INVALID" if reasons else worst_status([answer.status for answer in answers])
    sentence = " ".join(answer.sentence for answer in answers) if not reasons else reasons[0]
    return Verdict(
        status=status,
        sentence=f"{status}: {sentence}",
        confidence=confidence,
        level=one_sided(confidence),
        reasons=tuple(reasons),
    )


def _bottleneck(above: Sequence[JudgedStep]) -> Bottleneck:
    """What the first decided step above the highest sustained rate shows."""
    if not above:
        return "nothing"
    decided = next((step.verdict for step in above if step.verdict != "INCONCLUSIVE"), None)
    if decided == "FAIL":
        return "database"
    return "generator" if decided == "INVALID" else "undecided"


def _sentence(
    steps: Sequence[JudgedStep], top: int, bottleneck: Bottleneck, knee: JudgedStep | None
) -> str:
    name = DISPLAY_NAMES.get(steps[0].backend, steps[0].backend)
    above = steps[top + 1 :]
    dip = next((step for step in steps[: max(0, top)] if step.verdict == "FAIL"), None)
    if top < 0:
        text = f"{name} is not shown to meet the limits at any rate"
    else:
        text = f"{name} meets the limits up to {rate(steps[top].rate_per_s)}"
    if dip:
        text += f", but not at {rate(dip.rate_per_s)}"
    if bottleneck == "nothing":
        text += ", the highest rate tested."
    elif bottleneck == "undecided":
        text += "; the steps above that" if top >= 0 else "; the steps"
        text += " were too short to decide."
    elif bottleneck == "database":
        text += f". {_database_failure(above)}"
    else:
        text += f". {_generator_failure(above, name)}"
    if knee:
        text += f" The knee is at {rate(knee.rate_per_s)}."
    return text


def _database_failure(above: Sequence[JudgedStep]) -> str:
    step = next(step for step in above if step.verdict == "FAIL")
    p99 = f"p99 {three_digits(step.p99_ms)} ms" if step.p99_ms else "p99 not reached in the step"
    undecided = [rate(before.rate_per_s) for before in above[: above.index(step)]]
    between = f" ({', '.join(undecided)} undecided)" if undecided else ""
    achieved = "" if step.sustained else f", {rate(step.achieved_per_s)} completed"
    return f"At {rate(step.rate_per_s)} the database failed: {p99}{achieved}{between}."


def _generator_failure(above: Sequence[JudgedStep], name: str) -> str:
    step = next(step for step in above if step.verdict == "INVALID")
    return (
        f"At {rate(step.rate_per_s)} the load generator was the bottleneck, so the capacity of"
        f" {name} is unknown: {step.sentence}"
    )


def rate(per_s: float) -> str:
    """`1,560/s`: three significant digits."""
    digits = f"{float(f'{per_s:.3g}'):,.1f}".removesuffix(".0")
    return f"{digits}/s"
