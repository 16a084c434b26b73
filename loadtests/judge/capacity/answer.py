"""What a climb through rising rates says: where the promise ends, where the knee is, what gave out.

The stored form (run.json's `capacity_run`)::

    confidence   0.95: what each step is decided at, by itself
    steps        [JudgedStep], for each backend in the order of its rates; `run` names the run a
                 step was measured in, where that is another one
    answers      [Answer], one a backend
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from loadtests.config import Slo
from loadtests.judge.capacity.steps import JudgedStep, judge_steps
from loadtests.judge.sentences import three_digits
from loadtests.judge.verdict import Status, Verdict, of_several
from loadtests.measure.results import Run, write_info
from loadtests.patterns import DISPLAY_NAMES

ENOUGH: Final = 2  # steps in a row that end a climb

GaveOut = Literal["database", "generator", "undecided", "nothing"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One backend's climb in short. Rates in 1/s; None where no step shows one.

    `keeps_per_s` is the highest rate that keeps the promise, `breaks_per_s` the lowest above it
    that breaks it. `knee_per_s` has the highest power (Kleinrock, ICC 1979): throughput over p99.
    `gave_out` is what ended the climb.
    """

    backend: str
    status: Status
    keeps_per_s: float | None
    breaks_per_s: float | None
    knee_per_s: float | None
    gave_out: GaveOut
    sentence: str


def should_stop(steps: Sequence[JudgedStep]) -> bool:
    """Whether going on would only hammer: two steps in a row broke badly or were distorted."""
    last = list(steps)[-ENOUGH:]
    return len(last) == ENOUGH and all(s.badly or s.verdict == "INVALID" for s in last)


def answer_of(steps: Sequence[JudgedStep]) -> Answer:
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
    return Answer(
        backend=steps[0].backend,
        status=status,
        keeps_per_s=steps[top].rate_per_s if kept else None,
        breaks_per_s=broken.rate_per_s if broken else None,
        knee_per_s=knee.rate_per_s if knee else None,
        gave_out=gave_out,
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
    run: Run, slo: Slo, confidence: float, others: Sequence[Mapping[str, Any]] | None = None
) -> tuple[Run, Verdict]:
    """Judge every step, put `capacity_run` and the verdict into run.json; gives the run with both.

    `others` are the stored forms of runs whose backends climbed before or after, to be shown with
    this one's; by default those already shown stay. Raises ConfigError when no p99 is promised,
    ResultsError for a run without steps.
    """
    steps = judge_steps(run, slo, confidence)
    answers = [answer_of(mine) for mine in by_backend(steps)]
    verdict = verdict_of(run, answers, confidence)
    told = capacity_data(steps, answers, confidence)
    for other in [_others_in(run)] if others is None else others:
        told["steps"] = [*told["steps"], *other["steps"]]
        told["answers"] = [*told["answers"], *other["answers"]]
    info = run.info.model_copy(update={"capacity_run": told, "verdict": verdict.as_data()})
    write_info(run.path, info)
    return replace(run, info=info), verdict


def _others_in(run: Run) -> dict[str, list[Any]]:
    """What run.json already shows of other runs; nothing where it is not of the stored form."""
    stored = (run.info.model_extra or {}).get("capacity_run")
    parts = {
        name: [one for one in found if isinstance(one, dict)]
        for name in ("steps", "answers")
        if isinstance(found := stored.get(name) if isinstance(stored, dict) else None, list)
    }
    steps = [one for one in parts.get("steps", []) if one.get("run") not in (None, run.info.id)]
    backends = [one.get("backend") for one in steps]
    answers = [one for one in parts.get("answers", []) if one.get("backend") in backends]
    return {"steps": steps, "answers": answers}


def by_backend(steps: Sequence[JudgedStep]) -> list[list[JudgedStep]]:
    """Each backend's steps, in the order in which they climbed."""
    backends = dict.fromkeys(step.backend for step in steps)
    return [[step for step in steps if step.backend == backend] for backend in backends]


def verdict_of(run: Run, answers: Sequence[Answer], confidence: float) -> Verdict:
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
        needed_s=None,
        reasons=tuple(reasons),
        baseline=None,
        limits=(),
        estimates=(),
    )


def capacity_data(
    steps: Sequence[JudgedStep], answers: Sequence[Answer], confidence: float
) -> dict[str, Any]:
    """The stored form."""
    return {
        "confidence": confidence,
        "steps": [asdict(step) for step in steps],
        "answers": [asdict(answer) for answer in answers],
    }


def _gave_out(beyond: Sequence[JudgedStep]) -> GaveOut:
    """What the first decided step above the highest kept rate says."""
    if not beyond:
        return "nothing"
    decided = next((step.verdict for step in beyond if step.verdict != "INCONCLUSIVE"), None)
    found: dict[Status, GaveOut] = {"FAIL": "database", "INVALID": "generator"}
    return found.get(decided, "undecided") if decided else "undecided"


def _sentence(
    steps: Sequence[JudgedStep], top: int, gave_out: GaveOut, knee: JudgedStep | None
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
    carried = "" if step.carried else f", {rate(step.achieved_per_s)} carried"
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
