"""Judges a run that is still going on, in a process that gives way to everything else.

Judging costs half a second of CPU. A verb does it while the load goes on, so it must not take that
from the databases: the process has a low priority, in a kernel group of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from loadtests.config import Config
from loadtests.errors import EXIT_PASS, LoadtestsError
from loadtests.interpreter import module_command
from loadtests.judge.capacity.answer import by_backend, rate, should_stop
from loadtests.judge.capacity.steps import judge_steps
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.storing import judge_with
from loadtests.measure.results import Status, read_run

LONGEST_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class InterimVerdict:
    """The verdict so far, and the measured seconds that would decide an INCONCLUSIVE run.

    `open`: a deciding limit is undecided, so that more calls may change the verdict.
    """

    status: Status
    needed_s: float | None
    sentence: str
    open: bool


@dataclass(frozen=True, slots=True)
class CapacityProgress:
    """A sentence for each step that has ended, and whether the run should end."""

    sentences: list[str]
    over: bool


Answer = TypeVar("Answer", bound="InterimVerdict | CapacityProgress")


class InterimJudge(Generic[Answer]):
    """A judging process under way; it has `LONGEST_S`, since the load goes on meanwhile."""

    def __init__(
        self,
        question: str,
        path: Path,
        config: Config,
        *,
        read: Callable[..., Answer],
        facts: Mapping[str, object],
    ) -> None:
        request = {
            "path": str(path),
            "config": config.model_dump(mode="json", by_alias=True),
            **facts,
        }
        self._read: Callable[..., Answer] = read
        self._begun_s = time.monotonic()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as asked:
            asked.write(json.dumps(request).encode())
            asked.seek(0)
            self._process = subprocess.Popen(
                module_command("loadtests.cli.runs.interim", question),
                stdin=asked,
                stdout=self._output,
                stderr=self._errors,
                start_new_session=True,  # a scheduling group of its own
            )

    def answer(self) -> Answer | None:
        """The answer; None while it is being found.

        Raises LoadtestsError when the run cannot be judged, or not in time.
        """
        code = self._process.poll()
        if code is None:
            if time.monotonic() - self._begun_s < LONGEST_S:
                return None
            raise LoadtestsError(f"The run so far could not be judged within {LONGEST_S:.0f} s.")
        if code != EXIT_PASS:
            self._errors.seek(0)
            text = self._errors.read().decode("utf-8", "replace").strip()
            raise LoadtestsError("The run so far cannot be judged.", hint=text[-300:])
        self._output.seek(0)
        answer: Answer = self._read(**json.loads(self._output.read()))
        return answer

    def close(self) -> None:
        """End it, whether or not it has an answer."""
        self._process.kill()
        self._process.wait()
        self._output.close()
        self._errors.close()


def judge_so_far(
    path: Path, config: Config, alpha: TailProbability
) -> InterimJudge[InterimVerdict]:
    """Judge a run that may still be going on."""
    return InterimJudge("verdict", path, config, read=InterimVerdict, facts={"alpha": alpha})


def judge_steps_so_far(path: Path, config: Config) -> InterimJudge[CapacityProgress]:
    """Judge the steps that have ended."""
    return InterimJudge("steps", path, config, read=CapacityProgress, facts={})


def _answer_verdict(path: Path, config: Config, alpha: float) -> InterimVerdict:
    with suppress(OSError):
        os.nice(19)
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    verdict = judge_with(read_run(path), config, TailProbability(alpha))
    undecided = any(limit.decides and limit.status == "INCONCLUSIVE" for limit in verdict.limits)
    return InterimVerdict(verdict.status, verdict.needed_s, verdict.sentence, undecided)


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
