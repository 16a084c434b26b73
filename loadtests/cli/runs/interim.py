"""One interim analysis of a running run, in a process of the lowest priority.

Judging costs half a second of CPU. The gate does it while the load goes on, so it must not take
that from the databases: this process has the lowest priority, in a kernel group of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from loadtests.config import Config
from loadtests.errors import LoadtestsError
from loadtests.judge.baseline import find_baseline
from loadtests.judge.judging import judge_run
from loadtests.judge.stats.distributions import TailProbability
from loadtests.measure.results import Run, Verdict, read_run


def judge(run: Run, config: Config, alpha: TailProbability | None) -> Verdict:
    """The verdict on a run as it stands, against its baseline if it has one."""
    return judge_run(run, config.slo, config.gate, find_baseline(run, config), alpha=alpha)


def look_at(path: Path, config: Config, alpha: TailProbability) -> tuple[str, float | None, str]:
    """Status, measured seconds needed, and sentence of a run that may still be going on.

    Raises LoadtestsError when it cannot be judged.
    """
    request = {"path": str(path), "config": config.model_dump(mode="json", by_alias=True)}
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.cli.runs.interim"],
        input=json.dumps(request | {"alpha": alpha}),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a scheduling group of its own
    )
    if done.returncode:
        raise LoadtestsError("The run so far cannot be judged.", hint=done.stderr.strip()[-300:])
    status, needed_s, sentence = json.loads(done.stdout)
    return status, needed_s, sentence


def main() -> None:
    """Judge what standard input names; print status, needed seconds and sentence as JSON."""
    with suppress(OSError):
        os.nice(19)
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    request = json.load(sys.stdin)
    config = Config.model_validate(request["config"])
    try:
        verdict = judge(read_run(Path(request["path"])), config, TailProbability(request["alpha"]))
    except LoadtestsError as error:
        sys.stderr.write(error.message)
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps([verdict.status, verdict.needed_s, verdict.sentence]))


if __name__ == "__main__":
    main()
