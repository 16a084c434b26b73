"""`loadtests targets` and `loadtests verify`, as a person runs them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import pytest

from loadtests.__main__ import main
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.supervisor.state import (
    find_supervisor,
    state_file,
)

HERE = Endpoints(DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:p@h/d"))


class Outcome(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Loadtests = Callable[..., Outcome]


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process's environment: small data, and a cache that holds no running databases."""
    for name in [name for name in os.environ if name.startswith("LOADTESTS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "loadtests.toml").write_text("[data]\nusers = 30\nbooks = 20\n")
    monkeypatch.setenv("LOADTESTS_CACHE", str(tmp_path))
    monkeypatch.setenv("LOADTESTS_CONFIG", str(tmp_path / "loadtests.toml"))
    return dict(os.environ)


@pytest.fixture
def loadtests(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Loadtests:
    """Runs a command in this process, which saves the start of an interpreter."""

    del environ  # its variables are set

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["loadtests", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capfd.readouterr()
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def program(environ: dict[str, str], own_cache: Path, tmp_path: Path) -> Iterator[Loadtests]:
    """Runs the program in a process of its own; databases that are left up are stopped."""
    for entry in own_cache.iterdir():
        if entry.is_symlink():
            (tmp_path / entry.name).symlink_to(entry.resolve())

    def run(*arguments: str) -> Outcome:
        process = subprocess.run(
            [sys.executable, "-m", "loadtests", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    yield run
    if find_supervisor(environ):
        run("targets", "down")


def has_ended(process: psutil.Process) -> bool:
    psutil.wait_procs([process], timeout=30)
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.embedded
def test_up_status_env_verify_down(
    program: Loadtests, loadtests: Loadtests, environ: dict[str, str]
) -> None:
    up = program("targets", "up")
    assert up.returncode == 0, up.stderr
    assert re.search(r"DynamoDB Local 1\.25\.1 \(embedded\): http://127\.0\.0\.1:\d+", up.stdout)
    assert "Seeding PostgreSQL" in up.stderr  # plain lines, because this is not a terminal
    state = find_supervisor(environ)
    assert state is not None
    assert state.endpoints is not None
    assert state.endpoints.dynamodb is not None
    assert state.endpoints.dynamodb.url is not None
    assert state.endpoints.postgres is not None
    supervisor = psutil.Process(state.pid)
    servers = supervisor.children(recursive=True)
    password = psycopg.conninfo.conninfo_to_dict(state.endpoints.postgres.dsn)["password"]
    assert isinstance(password, str)
    status = loadtests("targets", "status")
    assert status.returncode == 0
    assert state.endpoints.dynamodb.url in status.stdout
    assert password not in up.stdout + up.stderr + status.stdout
    assert state_file(environ).stat().st_mode & 0o077 == 0

    exports = program("targets", "env").stdout
    shell = subprocess.run(
        ["sh", "-c", f'{exports}\necho "$LOADTESTS_POSTGRES_DSN"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.strip() == state.endpoints.postgres.dsn
    with psycopg.connect(shell.stdout.strip()) as connection:
        assert connection.execute("select count(*) from users").fetchone() == (30,)

    again = loadtests("targets", "up")
    assert (again.returncode, find_supervisor(environ)) == (0, state)
    assert "up already" in again.stdout

    verified = program("verify", "--backend", "postgres")
    assert verified.returncode == 0, verified.stdout
    assert "All 17 checks passed." in verified.stdout
    assert find_supervisor(environ) == state  # it used those that are up, and left them up

    down = program("targets", "down")
    assert (down.returncode, down.stdout) == (0, "Down.\n")
    assert all(has_ended(process) for process in [supervisor, *servers])
    assert not state_file(environ).exists()
    assert loadtests("targets", "status").returncode == 2
    assert loadtests("targets", "down").stdout == "No databases are up.\n"


@pytest.mark.embedded
def test_the_databases_of_up_end_with_their_supervisor(
    program: Loadtests, loadtests: Loadtests, environ: dict[str, str]
) -> None:
    assert program("targets", "up", "--backend", "postgres").returncode == 0
    state = find_supervisor(environ)
    assert state is not None
    assert state.endpoints is not None
    assert state.endpoints.dynamodb is None
    supervisor = psutil.Process(state.pid)
    servers = supervisor.children(recursive=True)
    assert servers
    supervisor.kill()
    assert all(has_ended(process) for process in [supervisor, *servers])
    assert loadtests("targets", "status").returncode == 2
    assert state_file(environ).exists()  # reading deletes nothing


@pytest.mark.parametrize("backend", ["dynamodb", "postgres"])
def test_a_port_in_use_is_an_error_with_a_hint(
    loadtests: Loadtests, environ: dict[str, str], backend: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = loadtests("targets", "up", f"--{backend}-port", str(port))
    assert up.returncode == 2
    assert f"Port {port} of 127.0.0.1, requested for {backend}, is in use." in up.stderr
    assert "Hint: " in up.stderr
    assert "Traceback" not in up.stderr
    assert find_supervisor(environ) is None


def test_no_emulator_in_the_folder_named(
    loadtests: Loadtests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DYNAMODB_LOCAL_HOME", str(tmp_path))
    up = loadtests("targets", "up")
    assert up.returncode == 2
    assert "which does not contain DynamoDBLocal.jar and DynamoDBLocal_lib" in up.stderr
    assert "Traceback" not in up.stderr


def test_env_with_no_databases_up(loadtests: Loadtests) -> None:
    env = loadtests("targets", "env")
    assert (env.returncode, env.stdout) == (2, "")
    assert "targets up" in env.stderr


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--dynamodb-endpoint", "nonsense"], "is not a URL of scheme, host and port only"),
        (["--dynamodb-endpoint", "http://192.0.2.1:8000"], "is not on this machine"),
        (["--postgres-dsn", "postgresql://u:s3cret@192.0.2.1/d"], "is not on this machine"),
        (["--postgres-dsn", "postgresql://u:s3cret@127.0.0.1:1/d"], "did not respond"),
    ],
)
def test_verify_of_a_target_that_cannot_be_used(
    loadtests: Loadtests, flags: list[str], reason: str
) -> None:
    verified = loadtests("verify", *flags)
    assert verified.returncode == 2
    assert reason in verified.stderr
    assert "Hint: " in verified.stderr
    assert "Traceback" not in verified.stderr
    assert "s3cret" not in verified.stderr + verified.stdout
    assert verified.stdout == ""
