"""The answer of a capacity run: the highest sustained rate, the knee and the bottleneck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtests.config import Slo
from loadtests.judge.capacity.steps import judge_steps
from loadtests.judge.sentences import three_digits
from loadtests.judge.storing import store_verdict
from loadtests.judge.verdict import of_several
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

ENOUGH: Final = 2  # steps in a row that end a climb


def should_stop(steps: Sequence[JudgedStep]) -> bool:
    """Whether going on would only hammer: two steps in a row broke badly or were distorted."""
    last = list(steps)[-ENOUGH:]
    return len(last) == ENOUGH and all(s.overloaded or s.verdict == "INVALID" for s in last)


def answer_of(steps: Sequence[JudgedStep]) -> CapacityAnswer:
    """The answer of one backend's steps, which rise. Raises ValueError when there are none."""
    if not steps:
        raise ValueError("a climb without steps")
    kept = [n for n, step in enumerate(steps) if step.verdict == "PASS"]
    top = kept[-1] if kept else -1
    beyond = list(steps[top + 1 :])
    broken = next((step for step in beyond if step.verdict == "FAIL"), None)
    # without a step that keeps it, the first decides: above it, worse was to be expected
    status: Status = "PASS" if kept else steps[0].verdict
    gave_out = _gave_out(beyond)
    knee = knee_of(steps)
    return CapacityAnswer(
        backend=steps[0].backend,
        status=status,
        max_sustained_per_s=steps[top].rate_per_s if kept else None,
        min_failed_per_s=broken.rate_per_s if broken else None,
        knee_per_s=knee.rate_per_s if knee else None,
        bottleneck=gave_out,
        sentence=_sentence(steps, top, gave_out, knee),
    )


def knee_of(steps: Sequence[JudgedStep]) -> JudgedStep | None:
    """The step of highest power, if a later one has less: before that the knee is not in sight."""
    counted = [s for s in steps if s.verdict != "INVALID" and s.p99_ms]
    if not counted:
        return None
    best = max(counted, key=lambda s: s.achieved_per_s / (s.p99_ms or 1.0))
    beaten = any(s.rate_per_s > best.rate_per_s and s.verdict != "INVALID" for s in steps)
    return best if beaten else None


def store_capacity_run(
    run: Run, slo: Slo, confidence: float, others: Sequence[CapacityRun] | None = None
) -> tuple[Run, Verdict]:
    """Judge every step and write `capacity_run` and the verdict into run.json.

    `others` are the capacity runs of other backends, to be shown with this one's; by default those
    that are already stored stay. Returns the run with both. Raises ConfigError when there is no
    p99 limit, ResultsError for a run without steps.
    """
    own = capacity_of(run, slo, confidence)
    verdict = verdict_of(run, own.answers, confidence).model_copy(update={"slo": slo})
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
    """Each backend's steps, in the order in which they climbed."""
    backends = dict.fromkeys(step.backend for step in steps)
    return [[step for step in steps if step.backend == backend] for backend in backends]


def verdict_of(run: Run, answers: Sequence[CapacityAnswer], confidence: float) -> Verdict:
    """The verdict of the run as a whole: the gravest of its backends' answers."""
    validity = run.info.validity
    reasons = (
        [f"{one.rule}: {one.found} {one.remedy}".strip() for one in validity.reasons]
        if (validity and not validity.valid)
        else []
    )
    if not answers and not reasons:
        reasons = ["The run ended before its first step did."]
    status = "INVALID" if reasons else of_several([one.status for one in answers])
    sentence = " ".join(one.sentence for one in answers) if not reasons else reasons[0]
    return Verdict(
        status=status,
        sentence=f"{status}: {sentence}",
        confidence=confidence,
        level=1.0 - confidence,
        reasons=tuple(reasons),
    )


def _gave_out(beyond: Sequence[JudgedStep]) -> Bottleneck:
    """What the first decided step above the highest kept rate says."""
    if not beyond:
        return "nothing"
    decided = next((step.verdict for step in beyond if step.verdict != "INCONCLUSIVE"), None)
    found: dict[Status, Bottleneck] = {"FAIL": "database", "INVALID": "generator"}
    return found.get(decided, "undecided") if decided else "undecided"


def _sentence(
    steps: Sequence[JudgedStep], top: int, gave_out: Bottleneck, knee: JudgedStep | None
) -> str:
    name = DISPLAY_NAMES.get(steps[0].backend, steps[0].backend)
    beyond = list(steps[top + 1 :])
    dip = next((step for step in steps[: max(0, top)] if step.verdict == "FAIL"), None)
    said = f"{name} keeps the promise up to {rate(steps[top].rate_per_s)}"
    if top < 0:
        said = f"{name} was not seen to keep the promise at any rate"
    if dip:
        said += f", though not at {rate(dip.rate_per_s)}"
    if gave_out == "nothing":
        said += ", the highest rate tried: its end lies beyond."
    elif gave_out == "undecided":
        said += "; above that, the steps" if top >= 0 else "; the steps"
        said += " were too short to decide."
    else:
        said += f". {_broken(beyond) if gave_out == 'database' else _distorted(beyond, name)}"
    if knee:
        said += f" The knee is at {rate(knee.rate_per_s)}."
    return said


def _broken(beyond: Sequence[JudgedStep]) -> str:
    step = next(s for s in beyond if s.verdict == "FAIL")
    found = f"p99 {three_digits(step.p99_ms)} ms" if step.p99_ms else "no p99 within the step"
    unsure = [rate(s.rate_per_s) for s in beyond[: beyond.index(step)]]
    between = f" ({', '.join(unsure)} stayed undecided)" if unsure else ""
    carried = "" if step.sustained else f", {rate(step.achieved_per_s)} carried"
    return f"At {rate(step.rate_per_s)} the database gave out: {found}{carried}{between}."


def _distorted(beyond: Sequence[JudgedStep], name: str) -> str:
    step = next(s for s in beyond if s.verdict == "INVALID")
    return (
        f"At {rate(step.rate_per_s)} the load generator gave out, not the database, so this is no"
        f" measure of {name}: {step.sentence}"
    )


def rate(per_s: float) -> str:
    """`1,560/s`: three significant digits."""
    digits = f"{float(f'{per_s:.3g}'):,.1f}".removesuffix(".0")
    return f"{digits}/s"
