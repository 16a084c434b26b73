"""However a run ends, its databases end with it, and their files are deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import psutil
import pytest

from loadtests.targets.embedded.storage import MEMORY, sweep
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.client import COMMAND

pytestmark = pytest.mark.embedded

BOTH = ("dynamodb", "postgres")
POSTGRES = ("postgres",)  # starts sooner, where a test is not about what is started

RUN = """
import signal, sys
# as a terminal starts it, also if the tests run under nohup or as a background job
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
{patch}
from loadtests.config import Config, Data
from loadtests.targets.supervisor.client import open_endpoints
config = Config(data=Data(users=20, books=20))
def show(progress):
    print(progress.step, flush=True)
opening = open_endpoints(config, {backends}, provision={provision}, on_progress=show)
with opening as endpoints:
    print("ready", flush=True)
    {then}
print("down", flush=True)
"""

Answer = TypeVar("Answer")
Run = subprocess.Popen[str]


class StartRun(Protocol):
    """Starts a run in a process of its own."""

    def __call__(
        self,
        backends: tuple[str, ...] = BOTH,
        *,
        then: str = "signal.pause()",
        patch: str = "",
        provision: bool = False,
    ) -> Run: ...


@pytest.fixture
def start_run(own_cache: Path) -> Iterator[StartRun]:
    """Starts runs in process groups of their own; whatever a test leaves is ended."""
    runs: list[Run] = []

    def start(
        backends: tuple[str, ...] = BOTH,
        *,
        then: str = "signal.pause()",
        patch: str = "",
        provision: bool = False,
    ) -> Run:
        script = RUN.format(backends=backends, then=then, patch=patch, provision=provision)
        run = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"LOADTESTS_CACHE": str(own_cache)},
            start_new_session=True,
        )
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.poll() is None:
            run.kill()
        run.wait()
        assert run.stdout is not None
        run.stdout.close()


def await_line(run: Run, prefix: str) -> str:
    assert run.stdout is not None
    lines = []
    for line in run.stdout:
        lines.append(line)
        if line.startswith(prefix):
            return line
    raise AssertionError("".join(lines))


def supervisor_of(pid: int) -> tuple[psutil.Process, list[psutil.Process]]:
    """The supervisor that process `pid` started, and the processes below it."""
    supervisors = [
        child
        for child in psutil.Process(pid).children()
        if any("supervisor.server" in part for part in child.cmdline())
    ]
    (supervisor,) = supervisors
    return supervisor, supervisor.children(recursive=True)


def ask_each(
    processes: Iterable[psutil.Process], question: Callable[[psutil.Process], Answer]
) -> list[Answer]:
    """The answers of the processes that still run: PostgreSQL's workers come and go."""
    answers = []
    for process in processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            answers.append(question(process))
    return answers


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_end(processes: Iterable[psutil.Process], deadline_s: float = 30.0) -> None:
    deadline = time.monotonic() + deadline_s
    alive = list(processes)
    while alive := [process for process in alive if is_alive(process)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        psutil.wait_procs(alive, timeout=0.1)


def folders_of(supervisor_pid: int) -> list[Path]:
    parents = (Path(tempfile.gettempdir()), MEMORY)
    return [
        path
        for parent in parents
        for path in parent.glob(f"loadtests-targets-{supervisor_pid}-*")
        if path.is_dir()
    ]


def names(processes: Iterable[psutil.Process]) -> set[str]:
    return set(ask_each(processes, psutil.Process.name))


@pytest.mark.parametrize(
    ("number", "backends"),
    [
        (signal.SIGKILL, BOTH),
        (signal.SIGTERM, POSTGRES),
        (signal.SIGINT, POSTGRES),
        (signal.SIGHUP, POSTGRES),
    ],
)
def test_the_databases_end_when_the_run_is_killed(
    start_run: StartRun, number: signal.Signals, backends: tuple[str, ...]
) -> None:
    run = start_run(backends)
    await_line(run, "ready")
    supervisor, servers = supervisor_of(run.pid)
    expected = {"java", "postgres"} if backends == BOTH else {"postgres"}
    assert expected <= names(servers)
    assert folders_of(supervisor.pid)
    os.killpg(run.pid, number)  # as Ctrl-C does; the supervisor is not in the group
    run.wait(30)
    await_end([supervisor, *servers])
    assert not folders_of(supervisor.pid)


def test_the_databases_end_when_the_run_is_killed_while_they_start(start_run: StartRun) -> None:
    run = start_run()
    await_line(run, "Starting")
    supervisor, servers = supervisor_of(run.pid)
    run.kill()
    await_end([supervisor, *servers])
    assert not folders_of(supervisor.pid)


def test_the_databases_end_even_if_their_supervisor_is_killed(start_run: StartRun) -> None:
    run = start_run()
    await_line(run, "ready")
    supervisor, servers = supervisor_of(run.pid)
    assert {"java", "postgres"} <= names(servers)
    supervisor.kill()
    await_end([supervisor, *servers])
    leftovers = folders_of(supervisor.pid)
    assert leftovers
    run.kill()
    run.wait()
    for parent in {folder.parent for folder in leftovers}:
        sweep(parent)
    assert not any(folder.exists() for folder in leftovers)


def test_a_run_that_ends_by_itself_waits_until_all_have_ended(start_run: StartRun) -> None:
    show_supervisor = "import psutil; print('supervisor', psutil.Process().children()[0].pid)"
    run = start_run(POSTGRES, then=show_supervisor)
    pid = int(await_line(run, "supervisor").split()[1])
    await_line(run, "down")
    assert run.wait(30) == 0
    assert not psutil.pid_exists(pid)
    assert not folders_of(pid)


def test_it_works_alike_in_a_process_patched_by_gevent(start_run: StartRun) -> None:
    run = start_run(
        POSTGRES,
        patch="from gevent import monkey; monkey.patch_all()",
        then="import gevent; gevent.sleep(0)",
        provision=True,
    )
    await_line(run, "ready")
    await_line(run, "down")
    assert run.wait(30) == 0


def test_an_error_in_the_supervisor_is_raised_in_the_run(start_run: StartRun) -> None:
    run = start_run(patch="import os; os.environ['DYNAMODB_LOCAL_HOME'] = '/nowhere'")
    line = await_line(run, "loadtests.errors.TargetError")
    assert "/nowhere, which does not contain DynamoDBLocal.jar" in line


@pytest.mark.usefixtures("endpoints")
def test_the_databases_listen_on_loopback_only() -> None:
    _, servers = supervisor_of(os.getpid())
    connections = ask_each(
        servers, lambda process: (process.name(), process.net_connections("all"))
    )
    listening = {
        (name, connection.laddr.ip)
        for name, of_process in connections
        for connection in of_process
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("java", "127.0.0.1"), ("postgres", "127.0.0.1")}


@pytest.mark.usefixtures("endpoints")
def test_a_ctrl_c_for_the_run_does_not_reach_the_databases() -> None:
    """A run may still need them, to finish what it began."""
    run_group, run_session = os.getpgid(os.getpid()), os.getsid(os.getpid())
    supervisor, servers = supervisor_of(os.getpid())
    groups = ask_each(
        [supervisor, *servers], lambda process: (os.getpgid(process.pid), os.getsid(process.pid))
    )
    assert len(groups) >= 3
    assert all(run_group not in group and run_session not in group for group in groups)


def test_a_supervisor_started_by_hand_says_what_to_use_instead() -> None:
    supervisor = subprocess.run(
        COMMAND,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "reads its request from a pipe" in supervisor.stdout
    assert "loadtests targets up" in supervisor.stdout
    assert supervisor.stderr == ""


def test_a_supervisor_that_crashes_is_a_target_error(
    monkeypatch: pytest.MonkeyPatch, endpoints: Endpoints
) -> None:
    del endpoints
    from loadtests.config import Config
    from loadtests.errors import TargetError
    from loadtests.targets.supervisor import client

    crash = (sys.executable, "-c", "import sys; sys.exit('out of memory')")
    monkeypatch.setattr(client, "COMMAND", crash)
    with (
        pytest.raises(TargetError, match=r"ended unexpectedly \(code 1: out of memory\)") as caught,
        client.open_endpoints(Config()),
    ):
        pass
    assert caught.value.hint
