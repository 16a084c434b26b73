"""Judges a run that is still going on, in a process that gives way to everything else.

Judging costs half a second of CPU. A verb does it while the load goes on, so it must not take that
from the databases: the process has a low priority, in a kernel group of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.config import Config
from loadtests.errors import EXIT_PASS, LoadtestsError
from loadtests.interpreter import module_command
from loadtests.judge.baseline import find_baseline
from loadtests.judge.capacity.answer import by_backend, rate, should_stop
from loadtests.judge.capacity.steps import judge_steps
from loadtests.judge.judging import judge_run
from loadtests.judge.stats.distributions import TailProbability
from loadtests.measure.results import Run, Status, Verdict, read_run


@dataclass(frozen=True, slots=True)
class InterimVerdict:
    """The verdict so far, and the measured seconds that would decide an INCONCLUSIVE run."""

    status: Status
    needed_s: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class CapacityProgress:
    """A sentence for each step that has ended, and whether the run should end."""

    sentences: list[str]
    over: bool


def judge(run: Run, config: Config, alpha: TailProbability | None) -> Verdict:
    """The verdict on a run as it stands, against its baseline if it has one."""
    return judge_run(run, config.slo, config.gate, find_baseline(run, config), alpha=alpha)


def judge_so_far(path: Path, config: Config, alpha: TailProbability) -> InterimVerdict:
    """Judge a run that may still be going on. Raises LoadtestsError when it cannot be judged."""
    return InterimVerdict(**_ask("verdict", path, config, {"alpha": alpha}))


def judge_steps_so_far(path: Path, config: Config) -> CapacityProgress:
    """Judge the steps that have ended. Raises LoadtestsError when they cannot be judged."""
    return CapacityProgress(**_ask("steps", path, config, {}))


def _ask(question: str, path: Path, config: Config, facts: Mapping[str, object]) -> Any:
    request = {"path": str(path), "config": config.model_dump(mode="json", by_alias=True), **facts}
    answer = subprocess.run(
        module_command("loadtests.cli.runs.interim", question),
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a scheduling group of its own
    )
    if answer.returncode != EXIT_PASS:
        raise LoadtestsError("The run so far cannot be judged.", hint=answer.stderr.strip()[-300:])
    return json.loads(answer.stdout)


def _answer_verdict(path: Path, config: Config, alpha: float) -> InterimVerdict:
    with suppress(OSError):
        os.nice(19)
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    verdict = judge(read_run(path), config, TailProbability(alpha))
    return InterimVerdict(verdict.status, verdict.needed_s, verdict.sentence)


def _answer_steps(path: Path, config: Config) -> CapacityProgress:
    with suppress(OSError):
        os.nice(5)  # not lower: databases at their limit leave the lowest priority nothing
    steps = judge_steps(read_run(path), config.slo, config.gate.confidence)
    return CapacityProgress(
        [f"{rate(step.rate_per_s)}: {step.verdict}. {step.sentence}" for step in steps],
        any(should_stop(backend_steps) for backend_steps in by_backend(steps)[-1:]),
    )


_ANSWERS: Final[Mapping[str, Callable[..., InterimVerdict | CapacityProgress]]] = {
    "verdict": _answer_verdict,
    "steps": _answer_steps,
}


def main() -> None:
    """Answer the question that the argument names about the run that standard input names."""
    request = json.load(sys.stdin)
    path, config = Path(request.pop("path")), Config.model_validate(request.pop("config"))
    try:
        answer = _ANSWERS[sys.argv[1]](path, config, **request)
    except LoadtestsError as error:
        sys.stderr.write(error.message)
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(asdict(answer)))


if __name__ == "__main__":
    main()
