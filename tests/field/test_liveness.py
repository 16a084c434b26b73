"""Kind 8: what is alive is known by a lock, and reading deletes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.targets.embedded.storage import open_folder, sweep
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from loadtests.targets.supervisor import state as module
from loadtests.targets.supervisor.state import SupervisorLock, find_supervisor, state_file

NEW_PIDS = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
UP = Endpoints(DynamoDBEndpoint("http://127.0.0.1:1", label="DynamoDB Local"))
# what the supervisor of `targets up` does with its files, without the databases
SUPERVISOR = """
import os, sys, time
from contextlib import ExitStack
from pathlib import Path
from loadtests.targets.embedded.storage import open_folder
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from loadtests.targets.supervisor.state import SupervisorLock
with ExitStack() as stack:
    lock = SupervisorLock(os.environ)
    stack.callback(lock.release)
    folder = open_folder(stack, Path(sys.argv[1]))
    lock.announce(Endpoints(DynamoDBEndpoint("http://127.0.0.1:1", label="DynamoDB Local")))
    print(folder, flush=True)
    while not lock.should_stop():
        time.sleep(0.02)
"""


def may_unshare() -> bool:
    try:
        return subprocess.run([*NEW_PIDS, "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


in_new_pid_namespace = pytest.mark.skipif(
    not may_unshare(), reason="this machine does not allow PID namespaces"
)


@dataclass(frozen=True, slots=True)
class Container:
    """A living supervisor, and the folder that its databases would use."""

    process: subprocess.Popen[str]
    folder: Path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "LOADTESTS_CACHE": str(tmp_path / "cache")}


def start(environ: dict[str, str], shared: Path, *prefix: str) -> Container:
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", SUPERVISOR, str(shared)],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return Container(process, Path(process.stdout.readline().strip()))


@pytest.fixture
def supervisor(environ: dict[str, str], tmp_path: Path) -> Iterator[Container]:
    container = start(environ, tmp_path)
    yield container
    container.process.kill()
    container.process.communicate()


def loadtests(
    environ: dict[str, str], *arguments: str, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "loadtests", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@in_new_pid_namespace
def test_a_second_container_sees_the_databases_and_can_stop_them(
    environ: dict[str, str], supervisor: Container, tmp_path: Path
) -> None:
    """Two containers shared a cache and /tmp. `targets status` in the second one deleted the
    files of the first one's living databases, and nothing could stop them any more."""
    before = sorted(tmp_path.rglob("*"))
    status = loadtests(environ, "targets", "status", prefix=NEW_PIDS)
    assert (status.returncode, "DynamoDB Local" in status.stdout) == (0, True), status.stdout
    assert "of another container" in status.stdout
    swept = subprocess.run(
        [
            *(*NEW_PIDS, sys.executable, "-c"),
            "import sys, pathlib, loadtests.targets.embedded.storage as storage\n"
            "storage.sweep(pathlib.Path(sys.argv[1]))",
            str(tmp_path),
        ],
        check=True,
    )
    assert swept.returncode == 0
    assert sorted(tmp_path.rglob("*")) == before
    down = loadtests(environ, "targets", "down", prefix=NEW_PIDS)
    assert (down.returncode, down.stdout) == (0, "Down.\n"), down.stderr
    assert supervisor.process.wait(30) == 0
    assert not supervisor.folder.exists()
    assert find_supervisor(environ) is None


@in_new_pid_namespace
def test_the_first_container_sees_the_databases_of_the_second(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """The other way round: the process id of the second container belongs to init here."""
    container = start(environ, tmp_path, *NEW_PIDS)
    try:
        state = find_supervisor(environ)
        assert state is not None
        assert not state.holder.is_visible
        sweep(tmp_path)
        assert container.folder.exists()
        module.stop_supervisor(environ, state)
        assert container.process.wait(30) == 0
        assert not container.folder.exists()
    finally:
        container.process.kill()
        container.process.communicate()


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 1},
        {"pid": 2**22 + 1},
        {"since": "2031-01-01 00:00:00 UTC"},
        {"host": "another", "pid_namespace": "pid:[1]"},
    ],
)
def test_neither_process_ids_nor_clocks_decide(
    environ: dict[str, str], change: dict[str, object]
) -> None:
    """The system time was set, or the process id belonged to another process in this container:
    living databases were taken for dead, and their files were deleted."""
    lock = SupervisorLock(environ)
    lock.announce(UP)
    path = state_file(environ)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert find_supervisor(environ) is not None
    lock.release()


def test_a_process_that_got_the_id_of_a_dead_supervisor_is_left_alone(
    environ: dict[str, str], supervisor: Container
) -> None:
    """After a reboot the id in the file was that of an editor, which `targets down` ended."""
    bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        supervisor.process.send_signal(signal.SIGKILL)
        supervisor.process.wait()
        path = state_file(environ)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": bystander.pid}))
        down = loadtests(environ, "targets", "down")
        assert (down.returncode, down.stdout) == (0, "No databases are up.\n")
        assert bystander.poll() is None
        assert path.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_supervisor_that_hangs_is_killed_after_a_bounded_wait(
    environ: dict[str, str], supervisor: Container
) -> None:
    """A supervisor that was stopped (SIGSTOP, a frozen container) made `targets down` wait."""
    state = find_supervisor(environ)
    assert state is not None
    supervisor.process.send_signal(signal.SIGSTOP)
    module.stop_supervisor(environ, state, timeout_s=0.2)
    assert supervisor.process.wait(30) == -signal.SIGKILL
    assert find_supervisor(environ) is None


def test_a_container_with_its_own_network_is_told_what_it_cannot_do(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container with a network of its own shared the cache. Its runs called 127.0.0.1, where
    nothing listened, and `targets down` said that nothing was up."""
    from loadtests.cli import targets

    monkeypatch.setenv("LOADTESTS_CACHE", environ["LOADTESTS_CACHE"])
    lock = SupervisorLock(environ)
    lock.announce(UP)
    monkeypatch.setattr(module, "namespace", lambda kind: f"{kind}:[of another container]")
    assert find_supervisor(environ) is None
    targets.down.main([], standalone_mode=False)
    output = capsys.readouterr().out
    assert "neither reached nor stopped from here: process" in output
    assert "Run `loadtests targets down` in that container" in output
    assert not lock.should_stop()
    monkeypatch.undo()
    lock.release()


def test_a_start_deletes_only_what_nobody_holds(environ: dict[str, str], tmp_path: Path) -> None:
    """A second start beside a living one, and after a killed one."""
    dead = start(environ, tmp_path)
    dead.process.kill()
    dead.process.communicate()
    living = start(environ, tmp_path)
    try:
        assert not dead.folder.exists()
        with ExitStack() as stack:
            open_folder(stack, tmp_path)
            assert living.folder.exists()
    finally:
        living.process.kill()
        living.process.communicate()
