"""`pytest --benchmark` from the outside, on made-up benchmarks that need no database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.config import Config
from loadtests.load.child_environment import ENDPOINTS_VARIABLE
from loadtests.microbench.progress_pipe import PROGRESS_VARIABLE
from loadtests.microbench.replay import Replay
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json
from tests.known import known
from tests.pytest_projects import BENCH, BROKEN, Project

pytestmark = pytest.mark.slow  # each test is a run of pytest


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything, quick, once."""
    project = Project(tmp_path_factory.mktemp("quick"))
    project.code = project.pytest("--benchmark", "--benchmark-quick")
    return project


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Some of it, with options of pytest-benchmark's own."""
    project = Project(tmp_path_factory.mktemp("chosen"))
    only = ("--benchmark", "--benchmark-quick", "-k", "cart and boto3")
    project.saved = project.pytest(*only, "--benchmark-save=one")
    project.code = project.pytest(
        *only, "--benchmark-json=out.json", "--benchmark-compare", "--benchmark-columns=median",
        "--benchmark-min-rounds=450", "--benchmark-histogram=drawn/",
    )  # fmt: skip
    return project


def test_plain_pytest_runs_the_tests_and_no_benchmark(project: Project) -> None:
    assert project.pytest() == 0
    assert "1 passed" in project.output
    assert "test_made.py" in project.output
    assert not (project.path / "results").exists()


def test_benchmark_runs_the_benchmarks_and_no_test(quick: Project) -> None:
    assert quick.code == 0, quick.output
    assert "7 passed" in quick.output
    assert "test_made.py" not in quick.output
    assert "target p99 10 ms" in quick.output
    assert "results/latest/report.html" in quick.output
    run = quick.run
    assert {(s.driver, s.pattern, s.count) for s in run.info.series} == {
        (driver, pattern, 370)
        for driver in ("wire", "boto3", "psycopg")
        for pattern in ("cart.get", "session.get")
    }
    assert known(run.info.verdict).status in {"PASS", "INVALID", "INCONCLUSIVE"}
    charts = {path.name for path in (run.path / "charts").iterdir()}
    assert {"p50_p99.png", "breakdown.png"} <= charts
    names = [row.name for row in known(run.info.micro).rows]
    assert "own part" in names


def test_pytest_benchmarks_own_table_waits_to_be_asked_for(quick: Project, chosen: Project) -> None:
    assert "Legend:" not in quick.output
    assert "Legend:" in chosen.output


def test_pytest_benchmarks_json_lies_beside_with_all_rounds_and_our_figures(quick: Project) -> None:
    exported = json.loads((quick.run.path / "benchmark.json").read_text())
    assert "node" not in exported["machine_info"]
    ours = [
        benchmark for benchmark in exported["benchmarks"] if "p99_ms" in benchmark["extra_info"]
    ]
    assert (len(exported["benchmarks"]), len(ours)) == (7, 6)
    for benchmark in ours:
        assert benchmark["stats"]["rounds"] == len(benchmark["stats"]["data"]) == 370
        assert benchmark["group"] in {"cart.get", "session.get"}
        assert benchmark["extra_info"]["p99_ms"] is not None
        assert benchmark["stats"]["median"] * 1e3 == pytest.approx(
            benchmark["extra_info"]["p50_ms"], rel=0.05
        )


def test_filters_and_exports(chosen: Project) -> None:
    assert chosen.code == 0, chosen.output
    assert "1 passed, 6 deselected" in chosen.output
    exported = json.loads((chosen.path / "out.json").read_text())
    assert [benchmark["name"] for benchmark in exported["benchmarks"]] == [
        "test_call[cart.get-boto3]"
    ]
    assert (chosen.run.path / "benchmark.json").read_bytes() == (
        chosen.path / "out.json"
    ).read_bytes()
    assert [(s.driver, s.pattern) for s in chosen.run.info.series] == [("boto3", "cart.get")]


def test_saving_comparing_and_histograms_go_on_working(chosen: Project) -> None:
    assert chosen.saved == 0
    assert "(NOW)" in chosen.output
    assert [path.suffix for path in (chosen.path / "drawn").iterdir()] == [".svg"]


def test_a_gate_may_interrupt_it(project: Project) -> None:
    """What was measured is kept, and said not to be judged."""
    reading, writing = os.pipe()
    running = project.start(
        "--benchmark",
        "-k",
        "cart",
        "--benchmark-min-rounds=100000000",
        pass_fds=[writing],
        on_parent_death=signal.SIGINT,
        **{PROGRESS_VARIABLE: str(writing)},
    )
    os.close(writing)
    received = b""
    try:
        while b"Measuring" not in received:
            received += (chunk := os.read(reading, 65_536))
            assert chunk
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=60)
    finally:
        os.close(reading)
        running.kill()
    assert running.returncode == pytest.ExitCode.INTERRUPTED
    assert "Interrupted and not judged" in output
    assert project.run.info.state == "interrupted"
    assert project.run.info.verdict is None


def test_a_regression_against_a_saved_run_is_a_sentence_and_exit_code_1(project: Project) -> None:
    only = ("--benchmark", "--benchmark-quick", "-k", "cart and boto3")
    assert project.pytest(*only, "--benchmark-autosave") == 0, project.output
    slower = BENCH.replace("self.calls += 1", "self.calls += sum(range(5_000)) and 1")
    project.bench.write_text(slower)
    code = project.pytest(*only, "--benchmark-compare", "--benchmark-compare-fail=median:20%")
    assert code == 1, project.output
    assert "Performance has regressed" in project.output
    assert "Traceback" not in project.output
    assert "results/latest/report.html" in project.output


def test_more_rounds_can_be_asked_for(chosen: Project) -> None:
    assert chosen.run.info.series[0].count == 450


def test_each_benchmark_can_be_called_once_without_results(project: Project) -> None:
    assert project.pytest("--benchmark", "--benchmark-once") == 0, project.output
    assert "7 passed" in project.output
    assert "nothing was measured or judged" in project.output
    assert not (project.path / "results").exists()


def test_without_a_report_the_run_folder_is_left_as_measured(project: Project) -> None:
    assert (
        project.pytest("--benchmark", "--benchmark-quick", "--benchmark-no-report", "-k", "cart")
        == 0
    ), project.output
    assert "Measured and not judged: results/latest/run.json" in project.output
    assert project.run.info.verdict is None
    assert project.run.info.state == "complete"
    assert not (project.run.path / "report.html").exists()
    assert (project.path / "results" / "latest-micro").resolve() == project.run.path


def test_a_backend_that_takes_no_part_is_left_out(project: Project) -> None:
    only = ("--benchmark", "--benchmark-quick", "--benchmark-no-report", "-k", "call")
    assert project.pytest(*only, LOADTESTS_BACKEND="postgres") == 0, project.output
    assert "2 passed, 5 deselected" in project.output
    assert {series.backend for series in project.run.info.series} == {"postgres"}


def test_collecting_alone_opens_nothing(project: Project) -> None:
    assert project.pytest("--benchmark", "--collect-only", **{ENDPOINTS_VARIABLE: "not JSON"}) == 0
    assert "7 tests collected" in project.output


def test_a_file_can_be_named(project: Project) -> None:
    assert (
        project.pytest("--benchmark", "--benchmark-quick", "bench/bench_made.py", "-k", "own") == 0
    )
    assert "1 passed" in project.output


def test_a_benchmark_named_without_the_flag_is_skipped(project: Project) -> None:
    assert project.pytest("bench/bench_made.py", "-rs") == 0
    assert "run it with pytest --benchmark" in project.output


def test_failures_are_told_in_words(project: Project) -> None:
    failing = BENCH.replace("FAILING = False", "FAILING = True")
    broken = failing + BROKEN
    project.bench.write_text(broken)
    assert project.pytest("--benchmark", "--benchmark-quick", "-k", "cart.get-wire or broken") == 1
    assert "2 failed" in project.output
    assert "calls failed: Throttled" in project.output
    assert "It is not there.\nHint: Look." in project.output
    assert "Traceback" not in project.output
    assert project.run.info.series[0].errors["Throttled"] > 0


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--benchmark"], {"LOADTESTS_RATE": "many"}, "LOADTESTS_RATE"),
        (
            ["--benchmark"],
            {ENDPOINTS_VARIABLE: "", "LOADTESTS_DYNAMODB_ENDPOINT": "http://203.0.113.9:1"},
            "--allow-remote",
        ),
    ],
)
def test_bad_settings_are_a_sentence_and_exit_code_2(
    project: Project, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    assert project.pytest(*arguments, **environ) == 2, project.output
    assert message in project.output
    assert "Traceback" not in project.output
    assert not (project.path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark-quick"], "--benchmark-quick needs --benchmark"),
        (["--benchmark-no-report"], "--benchmark-no-report needs --benchmark"),
        (["--benchmark-once"], "--benchmark-once needs --benchmark"),
        (["--benchmark", "-p", "no:benchmark"], "needs pytest-benchmark"),
    ],
)
def test_flags_that_make_no_sense(project: Project, arguments: list[str], message: str) -> None:
    assert project.pytest(*arguments) == 4
    assert message in project.output


def test_a_replay_gives_each_round_its_measured_time() -> None:
    replay = Replay()
    replay.rounds_ns = [3_000_000, 1_500]
    times = []
    for _ in range(2):
        begun = replay()
        times.append(replay() - begun)
    assert times == [1.5e-6, 3e-3]
    assert not replay.rounds_ns


@pytest.mark.embedded
def test_every_benchmark_of_the_project_works_on_real_databases(
    seeded: Endpoints, embedded_config: Config, tmp_path: Path
) -> None:
    given = {
        ENDPOINTS_VARIABLE: json.dumps(endpoints_to_json(seeded)),
        "LOADTESTS_CONFIG": str(tmp_path / "loadtests.toml"),
        "LOADTESTS_RESULTS": str(tmp_path),
    }
    data = embedded_config.data
    (tmp_path / "loadtests.toml").write_text(
        f"[data]\nusers = {data.users}\nbooks = {data.books}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark", "--benchmark-once", "-q",
         "-p", "no:cacheprovider", "-k", "not 100_lines"],
        env={**os.environ, **given}, text=True, capture_output=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:]
    assert " passed" in done.stdout
    assert not list(tmp_path.glob("2*"))
