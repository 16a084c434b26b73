"""A project of its own with made-up benchmarks, and pytest started in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.load.child_environment import ENDPOINTS_VARIABLE
from loadtests.measure.results import Run, read_run
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json
from loadtests.targets.supervisor.process import with_pdeathsig

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

    output = ""  # of the last run
    code = 0  # exit code that a fixture stores
    saved = 0  # exit code of a run that saved its figures

    def __init__(self, path: Path) -> None:
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

    def start(
        self,
        *arguments: str,
        pass_fds: Sequence[int] = (),
        on_parent_death: signal.Signals = signal.SIGKILL,
        **environ: str,
    ) -> subprocess.Popen[str]:
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

    def pytest(self, *arguments: str, **environ: str) -> int:
        running = self.start(*arguments, **environ)  # type: ignore[arg-type]  # names of variables are no flags
        self.output, _ = running.communicate(timeout=120)
        return running.returncode

    @property
    def run(self) -> Run:
        return read_run(self.path / "results" / "latest")
