"""However a run ends, its databases end with it, and their files are deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from loadtests.targets.embedded.storage import MEMORY, sweep
from loadtests.targets.supervisor.client import COMMAND

pytestmark = pytest.mark.embedded

RUN = """
import signal, sys
# as a terminal starts it, also where the tests run under nohup or as a background job
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
{patch}
from loadtests.config import Config, Data
from loadtests.targets.supervisor.client import open_endpoints
config = Config(data=Data(users=20, books=20))
def show(progress):
    print(progress.step, flush=True)
with open_endpoints(config, provision={provision}, on_progress=show) as endpoints:
    print("ready", endpoints.dynamodb.url, flush=True)
    {then}
print("down", flush=True)
"""


@pytest.fixture
def run(own_cache):
    """Start a run in a process group of its own; whatever a test leaves is ended."""
    started = []

    def start(then="signal.pause()", patch="", provision=False):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN.format(then=then, patch=patch, provision=provision)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"LOADTESTS_CACHE": str(own_cache)},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def await_line(process, wanted):
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(wanted):
            return line
    raise AssertionError("".join(seen))


def family(process):
    """The supervisor and what it started, by process: (supervisor, servers and their children)."""
    (supervisor,) = psutil.Process(process.pid).children()
    return supervisor, supervisor.children(recursive=True)


def ask_each(processes, question):
    """The answers of those that are still there: PostgreSQL's workers come and go."""
    answers = []
    for process in processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            answers.append(question(process))
    return answers


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_gone(processes, deadline_s=30.0):
    deadline = time.monotonic() + deadline_s
    alive = list(processes)
    while alive := [p for p in alive if is_alive(p)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        psutil.wait_procs(alive, timeout=0.1)


def folders_of(holder_pid):
    parents = (Path(tempfile.gettempdir()), MEMORY)
    return [f for parent in parents for f in parent.glob(f"loadtests-targets-{holder_pid}-*")]


def names(processes):
    return set(ask_each(processes, psutil.Process.name))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_databases_end_when_the_run_is_killed(run, number):
    process = run()
    await_line(process, "ready")
    supervisor, servers = family(process)
    assert {"java", "postgres"} <= names(servers)
    assert folders_of(supervisor.pid)
    os.killpg(process.pid, number)  # as Ctrl-C does; the supervisor is not in the group
    process.wait(30)
    await_gone([supervisor, *servers])
    assert not folders_of(supervisor.pid)


def test_the_databases_end_when_the_run_is_killed_while_they_start(run):
    process = run()
    await_line(process, "Starting")
    supervisor, servers = family(process)
    process.kill()
    await_gone([supervisor, *servers])
    assert not folders_of(supervisor.pid)


def test_the_databases_end_even_when_their_holder_is_killed(run):
    process = run()
    await_line(process, "ready")
    supervisor, servers = family(process)
    assert {"java", "postgres"} <= names(servers)
    supervisor.kill()
    await_gone([supervisor, *servers])
    left = folders_of(supervisor.pid)
    assert left
    process.kill()
    process.wait()
    await_gone([supervisor])
    for parent in (Path(tempfile.gettempdir()), MEMORY):
        sweep(parent)
    assert not any(path.exists() for path in left)


def test_a_run_that_ends_by_itself_waits_until_all_is_gone(run):
    process = run(then="import psutil; print('supervisor', psutil.Process().children()[0].pid)")
    pid = int(await_line(process, "supervisor").split()[1])
    await_line(process, "down")
    assert process.wait(30) == 0
    assert not psutil.pid_exists(pid)
    assert not folders_of(pid)


def test_it_works_the_same_in_a_process_patched_by_gevent(run):
    process = run(
        patch="from gevent import monkey; monkey.patch_all()",
        then="import gevent; gevent.sleep(0)",
        provision=True,
    )
    await_line(process, "ready")
    await_line(process, "down")
    assert process.wait(30) == 0


def test_an_error_in_the_holder_is_raised_in_the_run(run):
    process = run(
        patch="import os; os.environ['DYNAMODB_LOCAL_HOME'] = '/nowhere'", then="signal.pause()"
    )
    line = await_line(process, "loadtests.errors.TargetError")
    assert "/nowhere, which does not contain DynamoDBLocal.jar" in line


def test_the_databases_listen_on_loopback_only(run):
    process = run()
    await_line(process, "ready")
    _, servers = family(process)
    opened = ask_each(servers, lambda p: (p.name(), p.net_connections("all")))
    listening = [
        (name, connection.laddr.ip)
        for name, connections in opened
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]
    assert sorted(set(listening)) == [("java", "127.0.0.1"), ("postgres", "127.0.0.1")]


def test_a_ctrl_c_for_the_run_does_not_reach_the_databases(run):
    """A run may want them still, to finish what it began."""
    process = run()
    await_line(process, "ready")
    supervisor, servers = family(process)
    assert os.getpgid(process.pid) == process.pid
    groups = ask_each([supervisor, *servers], lambda p: (os.getpgid(p.pid), os.getsid(p.pid)))
    assert len(groups) >= 3
    assert all(process.pid not in group for group in groups)


def test_a_supervisor_started_by_hand_says_what_to_use_instead():
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
