"""The micro-benchmarks as the gate's child: what they are told, and what they tell."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests.cli.runs import micro_process
from loadtests.cli.runs.micro_process import MicroProcess, micro_command
from loadtests.config import Config, Load
from loadtests.errors import ResultsError
from loadtests.load.child_environment import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.microbench.progress_pipe import PROGRESS_VARIABLE, open_progress_pipe
from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from loadtests.targets.progress import Progress
from loadtests.targets.supervisor.messages import read_message
from tests.known import known

STARTED = textwrap.dedent("""
    import json, os, pathlib, signal, sys, time
    from loadtests.microbench.progress_pipe import open_progress_pipe
    from loadtests.targets.progress import Progress

    def folder(state):
        path = pathlib.Path(os.environ["LOADTESTS_RESULTS"], os.environ["LOADTESTS_RUN_ID"])
        path.mkdir(exist_ok=True)
        (path / "run.json").write_text(json.dumps({"state": state, "environ": dict(os.environ)}))

    relay = open_progress_pipe(os.environ)
""")


Start = Callable[..., MicroProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    def start(body: str, **load: Any) -> MicroProcess:
        script = tmp_path / "child.py"
        script.write_text(STARTED + textwrap.dedent(body))
        monkeypatch.setattr(
            micro_process, "micro_command", lambda quick: [sys.executable, str(script)]
        )
        config = Config(results=str(tmp_path), load=Load(**load))
        dsn = "postgresql://gate:secret@127.0.0.1/x"
        return MicroProcess(config, Endpoints(postgres=PostgresEndpoint(dsn)), "run", quick=True)

    return start


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_it_measures_the_access_patterns_and_leaves_judging_to_the_gate() -> None:
    quick, full = micro_command(quick=True), micro_command(quick=False)
    assert quick[:5] == [sys.executable, "-P", "-m", "pytest", "--benchmark"]
    assert {"--benchmark-no-report", "bench/bench_access_patterns.py"} <= set(quick) & set(full)
    assert "--benchmark-quick" in quick
    assert f"--benchmark-min-rounds={micro_process.ROUNDS}" in full
    assert micro_process.ROUNDS >= 2_995


def test_it_is_told_databases_folder_seed_and_backend(start: Start, tmp_path: Path) -> None:
    with start("folder('complete')", seed=7, backend="postgres") as child:
        until(lambda: not child.running())
        child.finish(tmp_path / "run")
    environ = json.loads((tmp_path / "run" / "run.json").read_text())["environ"]
    assert "secret" in environ[ENDPOINTS_VARIABLE]
    assert environ[RUN_ID_VARIABLE] == "run"
    assert (environ["LOADTESTS_SEED"], environ["LOADTESTS_BACKEND"]) == ("7", "postgres")
    assert environ["PYTEST_ADDOPTS"] == ""  # options for a user's tests, such as -n 4


def test_its_progress_arrives_step_by_step(start: Start, tmp_path: Path) -> None:
    steps: list[Progress] = []
    body = """
        for done in range(3):
            relay(Progress("Measuring", done, 2))
        folder("complete")
    """
    with start(body) as child:
        while child.running():
            steps.extend(child.progress())
            os.sched_yield()
        steps.extend(child.progress())
    assert steps[0] == Progress("Measuring", 0, 2)
    assert steps[-1] == Progress("Measuring", 2, 2)


def test_a_failed_benchmark_has_a_folder_and_is_judged(start: Start, tmp_path: Path) -> None:
    with start("folder('complete'); sys.exit(1)") as child:
        until(lambda: not child.running())
        child.finish(tmp_path / "run")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('no such thing'); sys.exit(2)", "no such thing"),
        ("folder('running'); print('it broke'); sys.exit(3)", "it broke"),
        ("print('nothing'); sys.exit(0)", "nothing"),
    ],
)
def test_no_results_are_an_error_with_its_last_words(
    start: Start, tmp_path: Path, body: str, message: str
) -> None:
    with start(body) as child:
        until(lambda: not child.running())
        with pytest.raises(ResultsError) as caught:
            child.finish(tmp_path / "run")
    assert message in caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.hint


def test_leaving_early_lets_it_close_its_folder(start: Start, tmp_path: Path) -> None:
    body = """
        try:
            relay(Progress("Measuring", 0, 2))
            time.sleep(60)
        except KeyboardInterrupt:
            folder("interrupted")
    """
    with start(body) as child:
        until(lambda: bool(list(child.progress())))
    assert not child.running()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "interrupted"


def test_progress_between_is_thinned_out_and_a_listener_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    relay = known(open_progress_pipe({PROGRESS_VARIABLE: str(writing)}))
    monkeypatch.setattr("loadtests.microbench.progress_pipe.time.monotonic", lambda: 100.0)
    for done in range(1_001):
        relay(Progress("Measuring", done, 1_000))
    messages = [read_message(line) for line in os.read(reading, 65_536).splitlines()]
    assert [step.done for step in messages if isinstance(step, Progress)] == [0, 1_000]
    os.close(reading)
    relay(Progress("Measuring", 0, 1_000))
    os.close(writing)


def test_nothing_is_relayed_where_no_pipe_was_handed_over() -> None:
    assert open_progress_pipe({}) is None
    assert open_progress_pipe({PROGRESS_VARIABLE: "x"}) is None
