"""Run the benchmarks from elsewhere, in a process of their own, on databases already up.

A process of its own because a gate may have gevent or much else in it, and because what one call
costs must not depend on who asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtests.config import Config
from loadtests.errors import ResultsError
from loadtests.load.handover import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.microbench.folder import SCENARIO
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.messages import endpoints_to_json

FAILED: Final = 1  # pytest's code when a benchmark failed: the folder says which calls did
Runner = Callable[..., "subprocess.CompletedProcess[Any]"]


def run_micro(
    config: Config,
    endpoints: Endpoints,
    *,
    quick: bool = False,
    keyword: str = "test_call",
    run: Runner = subprocess.run,
) -> Path:
    """Run `pytest --benchmark` on `endpoints`; the finished run folder, judged like any other.

    `keyword` is pytest's -k; by default only the access patterns, which are what is judged. Its
    progress goes to this process's standard error. Raises ResultsError when no folder came of it.
    """
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{SCENARIO}-{uuid.uuid4().hex[:6]}"
    command = [
        sys.executable, "-m", "pytest", "--benchmark", "-q", "-k", keyword,
        *(["--quick"] if quick else []),
    ]  # fmt: skip
    environment = {
        **os.environ,
        ENDPOINTS_VARIABLE: json.dumps(endpoints_to_json(endpoints)),
        RUN_ID_VARIABLE: run_id,
        "LOADTESTS_RESULTS": config.results,
        "LOADTESTS_SEED": str(config.load.seed),
    }
    done = run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    path = Path(config.results).absolute() / run_id
    if done.returncode not in {0, FAILED} or not (path / "run.json").exists():
        said = bytes(done.stdout or b"").decode("utf-8", "replace").strip().splitlines()
        raise ResultsError(
            f"The micro-benchmarks ended with code {done.returncode} and no results.",
            hint="They said: " + " / ".join(said[-3:]),
        )
    return path
