"""`pytest --benchmark` from the outside, on made-up benchmarks that need no database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from loadtests.load.child_environment import ENDPOINTS_VARIABLE
from loadtests.measure.results import read_run
from loadtests.microbench.progress_pipe import PROGRESS_VARIABLE
from loadtests.microbench.replay import Replay
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json
from loadtests.targets.supervisor.process import with_pdeathsig

pytestmark = pytest.mark.slow  # each test is a run of pytest

TEST = "def test_plain():\n    pass\n"
BENCH = """
from functools import partial

import pytest

from loadtests.errors import BackendError, TargetError
from loadtests.microbench.suites.cases import Call, Case, Spec


class Store:
    wire_ns = 1
    calls = 0

    def call(self):
        self.calls += 1
        if FAILING and self.calls % 7 == 0:
            raise BackendError(name="Throttled")


FAILING = False
STORES = {name: Store() for name in ("wire", "boto3", "psycopg")}


def opened(name, bench):
    return Case(lambda: Call(STORES[name].call, store=STORES[name]))


def spec(pattern, name):
    backend = "postgres" if name == "psycopg" else "dynamodb"
    return Spec(
        suite="access patterns", group=pattern, name=name, backend=backend, driver=name,
        open=partial(opened, name), pattern=pattern,
    )


@pytest.mark.parametrize(
    "spec", [spec(p, n) for p in ("cart.get", "session.get") for n in STORES], ids=str
)
def test_call(measured, spec):
    measured(spec)


def test_own_part(benchmark):
    benchmark(int)
"""


BROKEN = """

def broken(bench):
    raise TargetError("It is not there.", hint="Look.")


@pytest.mark.parametrize(
    "spec",
    [
        Spec(
            suite="clients", group="g", name="broken", backend="dynamodb", driver="boto3",
            open=broken,
        )
    ],
    ids=str,
)
def test_broken(measured, spec):
    measured(spec)
"""


class Project:
    """A made-up project folder, and pytest run in it as a user would."""

    def __init__(self, path) -> None:
        self.path = path
        self.bench = path / "bench" / "bench_made.py"
        self.bench.parent.mkdir()
        self.bench.write_text(BENCH)
        (path / "tests").mkdir()
        (path / "tests" / "test_made.py").write_text(TEST)
        (path / "pytest.ini").write_text(
            "[pytest]\ntestpaths = tests\naddopts = --strict-markers --timeout=60\n"
            "filterwarnings =\n    error\n"
            "    ignore::pytest_benchmark.logger.PytestBenchmarkWarning\n"
        )

    def start(self, *arguments, pass_fds=(), on_parent_death=signal.SIGKILL, **environ):
        given = {ENDPOINTS_VARIABLE: json.dumps(endpoints_to_json(Endpoints()))} | environ
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        command += ["-p", "no:hypothesispytest", *arguments]  # users have none; it loads for 1 s
        # pytest-benchmark measures nothing in a worker of xdist, as these tests may be
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST_")}
        return subprocess.Popen(
            with_pdeathsig(command, owner=None, on_parent_death=on_parent_death),
            cwd=self.path,
            env={**inherited, "NO_COLOR": "1", **given},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
        )

    def pytest(self, *arguments, **environ):
        running = self.start(*arguments, **environ)
        self.said, _ = running.communicate(timeout=120)
        return running.returncode

    @property
    def run(self):
        return read_run(self.path / "results" / "latest")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Everything, quick, once."""
    project = Project(tmp_path_factory.mktemp("quick"))
    project.code = project.pytest("--benchmark", "--benchmark-quick")
    return project


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """Some of it, with options of pytest-benchmark's own."""
    project = Project(tmp_path_factory.mktemp("chosen"))
    only = ("--benchmark", "--benchmark-quick", "-k", "cart and boto3")
    project.saved = project.pytest(*only, "--benchmark-save=one")
    project.code = project.pytest(
        *only, "--benchmark-json=out.json", "--benchmark-compare", "--benchmark-columns=median",
        "--benchmark-min-rounds=450", "--benchmark-histogram=drawn/",
    )  # fmt: skip
    return project


def test_plain_pytest_runs_the_tests_and_no_benchmark(project):
    assert project.pytest() == 0
    assert "1 passed" in project.said
    assert "test_made.py" in project.said
    assert not (project.path / "results").exists()


def test_other_projects_may_have_options_of_their_own(project):
    (project.path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--quick', action='store_true')\n"
        "    parser.addoption('--no-report', action='store_true')\n"
    )
    assert project.pytest("--quick", "--no-report") == 0, project.said
    assert "1 passed" in project.said


def test_benchmark_runs_the_benchmarks_and_no_test(quick):
    assert quick.code == 0, quick.said
    assert "7 passed" in quick.said
    assert "test_made.py" not in quick.said
    assert "target p99 10 ms" in quick.said
    assert "results/latest/report.html" in quick.said
    run = quick.run
    assert {(s.driver, s.pattern, s.count) for s in run.info.series} == {
        (driver, pattern, 370)
        for driver in ("wire", "boto3", "psycopg")
        for pattern in ("cart.get", "session.get")
    }
    assert run.info.verdict.status in {"PASS", "INVALID", "INCONCLUSIVE"}
    charts = {path.name for path in (run.path / "charts").iterdir()}
    assert {"p50_p99.png", "breakdown.png"} <= charts
    names = [row.name for row in run.info.micro.rows]
    assert "own part" in names


def test_pytest_benchmarks_own_table_waits_to_be_asked_for(quick, chosen):
    assert "Legend:" not in quick.said
    assert "Legend:" in chosen.said


def test_pytest_benchmarks_json_lies_beside_with_all_rounds_and_our_figures(quick):
    told = json.loads((quick.run.path / "benchmark.json").read_text())
    assert "node" not in told["machine_info"]
    ours = [one for one in told["benchmarks"] if "p99_ms" in one["extra_info"]]
    assert (len(told["benchmarks"]), len(ours)) == (7, 6)
    for one in ours:
        assert one["stats"]["rounds"] == len(one["stats"]["data"]) == 370
        assert one["group"] in {"cart.get", "session.get"}
        assert one["extra_info"]["p99_ms"] is not None
        assert one["stats"]["median"] * 1e3 == pytest.approx(one["extra_info"]["p50_ms"], rel=0.05)


def test_filters_and_exports(chosen):
    assert chosen.code == 0, chosen.said
    assert "1 passed, 6 deselected" in chosen.said
    told = json.loads((chosen.path / "out.json").read_text())
    assert [one["name"] for one in told["benchmarks"]] == ["test_call[cart.get-boto3]"]
    assert (chosen.run.path / "benchmark.json").read_bytes() == (
        chosen.path / "out.json"
    ).read_bytes()
    assert [(s.driver, s.pattern) for s in chosen.run.info.series] == [("boto3", "cart.get")]


def test_saving_comparing_and_histograms_go_on_working(chosen):
    assert chosen.saved == 0
    assert "(NOW)" in chosen.said
    assert [path.suffix for path in (chosen.path / "drawn").iterdir()] == [".svg"]


def test_a_gate_may_interrupt_it(project):
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
    told = b""
    try:
        while b"Measuring" not in told:
            told += (heard := os.read(reading, 65_536))
            assert heard
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    finally:
        os.close(reading)
        running.kill()
    assert running.returncode == pytest.ExitCode.INTERRUPTED
    assert "Interrupted and not judged" in said
    assert project.run.info.state == "interrupted"
    assert project.run.info.verdict is None


def test_a_regression_against_a_saved_run_is_a_sentence_and_exit_code_1(project):
    only = ("--benchmark", "--benchmark-quick", "-k", "cart and boto3")
    assert project.pytest(*only, "--benchmark-autosave") == 0, project.said
    slower = BENCH.replace("self.calls += 1", "self.calls += sum(range(5_000)) and 1")
    project.bench.write_text(slower)
    code = project.pytest(*only, "--benchmark-compare", "--benchmark-compare-fail=median:20%")
    assert code == 1, project.said
    assert "Performance has regressed" in project.said
    assert "Traceback" not in project.said
    assert "results/latest/report.html" in project.said


def test_more_rounds_can_be_asked_for(chosen):
    assert chosen.run.info.series[0].count == 450


def test_disabled_benchmarks_make_each_call_once_and_leave_no_results(project):
    assert project.pytest("--benchmark", "--benchmark-disable") == 0, project.said
    assert "7 passed" in project.said
    assert not (project.path / "results").exists()


def test_without_a_report_the_run_folder_is_left_as_measured(project):
    assert (
        project.pytest("--benchmark", "--benchmark-quick", "--benchmark-no-report", "-k", "cart")
        == 0
    ), project.said
    assert "Measured and not judged: results/latest/run.json" in project.said
    assert project.run.info.verdict is None
    assert project.run.info.state == "complete"
    assert not (project.run.path / "report.html").exists()
    assert (project.path / "results" / "latest-micro").resolve() == project.run.path


def test_a_backend_that_takes_no_part_is_left_out(project):
    only = ("--benchmark", "--benchmark-quick", "--benchmark-no-report", "-k", "call")
    assert project.pytest(*only, LOADTESTS_BACKEND="postgres") == 0, project.said
    assert "2 passed, 5 deselected" in project.said
    assert {one.backend for one in project.run.info.series} == {"postgres"}


def test_skipped_benchmarks_open_nothing(project):
    code = project.pytest("--benchmark", "--benchmark-skip", **{ENDPOINTS_VARIABLE: "not JSON"})
    assert code == 0, project.said
    assert "7 skipped" in project.said


def test_collecting_alone_opens_nothing(project):
    assert project.pytest("--benchmark", "--collect-only", **{ENDPOINTS_VARIABLE: "not JSON"}) == 0
    assert "7 tests collected" in project.said


def test_a_file_can_be_named(project):
    assert (
        project.pytest("--benchmark", "--benchmark-quick", "bench/bench_made.py", "-k", "own") == 0
    )
    assert "1 passed" in project.said


def test_a_benchmark_named_without_the_flag_is_skipped(project):
    assert project.pytest("bench/bench_made.py", "-rs") == 0
    assert "run it with pytest --benchmark" in project.said


def test_failures_are_told_in_words(project):
    failing = BENCH.replace("FAILING = False", "FAILING = True")
    broken = failing + BROKEN
    project.bench.write_text(broken)
    assert project.pytest("--benchmark", "--benchmark-quick", "-k", "cart.get-wire or broken") == 1
    assert "2 failed" in project.said
    assert "calls failed: Throttled" in project.said
    assert "It is not there.\nHint: Look." in project.said
    assert "Traceback" not in project.said
    assert project.run.info.series[0].errors["Throttled"] > 0


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--benchmark"], {"LOADTESTS_RATE": "many"}, "LOADTESTS_RATE"),
        (
            ["--benchmark"],
            {ENDPOINTS_VARIABLE: "", "LOADTESTS_DYNAMODB_ENDPOINT": "http://203.0.113.9:1"},
            "--allow-remote",
        ),
    ],
)
def test_bad_settings_are_a_sentence_and_exit_code_2(project, arguments, environ, said):
    assert project.pytest(*arguments, **environ) == 2, project.said
    assert said in project.said
    assert "Traceback" not in project.said
    assert not (project.path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark-quick"], "--benchmark-quick needs --benchmark"),
        (["--benchmark-no-report"], "--benchmark-no-report needs --benchmark"),
        (["--benchmark", "-p", "no:benchmark"], "needs pytest-benchmark"),
    ],
)
def test_flags_that_make_no_sense(project, arguments, said):
    assert project.pytest(*arguments) == 4
    assert said in project.said


def test_a_replay_gives_each_round_its_measured_time():
    replay = Replay()
    replay.rounds_ns = [3_000_000, 1_500]
    times = []
    for _ in range(2):
        begun = replay()
        times.append(replay() - begun)
    assert times == [1.5e-6, 3e-3]
    assert not replay.rounds_ns


@pytest.mark.embedded
def test_every_benchmark_of_the_project_works_on_real_databases(seeded, embedded_config, tmp_path):
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
        [sys.executable, "-m", "pytest", "--benchmark", "--benchmark-disable", "-q",
         "-p", "no:cacheprovider", "-k", "not 100_lines"],
        env={**os.environ, **given}, text=True, capture_output=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3_000:]
    assert " passed" in done.stdout
    assert not list(tmp_path.glob("2*"))
