"""One look at a climb, in a process of its own that gives way to the databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loadtests.config import Config
from loadtests.errors import LoadtestsError
from loadtests.judge.capacity.answer import by_backend, rate, should_stop
from loadtests.judge.capacity.steps import judge_steps
from loadtests.measure.results import read_run


@dataclass(frozen=True, slots=True)
class CapacityProgress:
    """A sentence for each step that has ended, and whether the climb should end."""

    sentences: list[str]
    over: bool


def look_at_climb(path: Path, config: Config) -> CapacityProgress:
    """Judge the steps so far. Raises LoadtestsError when they cannot be."""
    request = {"path": str(path), "config": config.model_dump(mode="json", by_alias=True)}
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.cli.runs.interim_capacity"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a scheduling group of its own
    )
    if done.returncode:
        raise LoadtestsError("The climb so far cannot be judged.", hint=done.stderr.strip()[-300:])
    return CapacityProgress(**json.loads(done.stdout))


def main() -> None:
    """Judge what standard input names; print the progress as JSON."""
    with suppress(OSError):
        os.nice(5)  # not lower: databases at their end leave the lowest nothing
    request = json.load(sys.stdin)
    config = Config.model_validate(request["config"])
    try:
        steps = judge_steps(read_run(Path(request["path"])), config.slo, config.gate.confidence)
    except LoadtestsError as error:
        sys.stderr.write(error.message)
        sys.exit(error.exit_code)
    told = [f"{rate(step.rate_per_s)}: {step.verdict}. {step.sentence}" for step in steps]
    over = any(should_stop(mine) for mine in by_backend(steps)[-1:])
    sys.stdout.write(json.dumps({"sentences": told, "over": over}))


if __name__ == "__main__":
    main()
