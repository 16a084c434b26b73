"""`loadtests targets` and `loadtests verify`, as a person runs them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys

import psutil
import psycopg
import pytest

from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.supervisor.state import (
    find_supervisor,
    remove_state,
    state_file,
    write_state,
)

HERE = Endpoints(DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:p@h/d"))


@pytest.fixture
def environ(own_cache, tmp_path):
    """Settings of this test's own: small data, and a cache that nothing is up in."""
    (tmp_path / "loadtests.toml").write_text("[data]\nusers = 30\nbooks = 20\n")
    for entry in own_cache.iterdir():
        if entry.is_symlink():
            (tmp_path / entry.name).symlink_to(entry.resolve())
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LOADTESTS_")}
    return kept | {
        "LOADTESTS_CACHE": str(tmp_path),
        "LOADTESTS_CONFIG": str(tmp_path / "loadtests.toml"),
    }


@pytest.fixture
def loadtests(environ):
    def run(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "-m", "loadtests", *arguments],
            env=environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    yield run
    run("targets", "down")


def gone(process):
    psutil.wait_procs([process], timeout=30)
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.embedded
def test_up_status_env_verify_down(loadtests, environ):
    up = loadtests("targets", "up")
    assert up.returncode == 0, up.stderr
    assert re.search(r"DynamoDB Local 1\.25\.1 \(embedded\): http://127\.0\.0\.1:\d+", up.stdout)
    assert "Seeding PostgreSQL" in up.stderr  # plain lines, for this is no terminal
    running = find_supervisor(environ)
    supervisor = psutil.Process(running.pid)
    servers = supervisor.children(recursive=True)
    password = psycopg.conninfo.conninfo_to_dict(running.endpoints.postgres.dsn)["password"]
    status = loadtests("targets", "status")
    assert status.returncode == 0
    assert running.endpoints.dynamodb.url in status.stdout
    assert password not in up.stdout + up.stderr + status.stdout
    assert state_file(environ).stat().st_mode & 0o077 == 0

    exports = loadtests("targets", "env").stdout
    shell = subprocess.run(
        ["sh", "-c", f'{exports}\necho "$LOADTESTS_POSTGRES_DSN"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shell.stdout.strip() == running.endpoints.postgres.dsn
    with psycopg.connect(shell.stdout.strip()) as connection:
        assert connection.execute("select count(*) from users").fetchone() == (30,)

    again = loadtests("targets", "up")
    assert (again.returncode, find_supervisor(environ)) == (0, running)
    assert "up already" in again.stdout

    verified = loadtests("verify", "--backend", "postgres")
    assert verified.returncode == 0, verified.stdout
    assert "All 17 checks passed." in verified.stdout
    assert find_supervisor(environ) == running  # it used those that are up, and left them

    down = loadtests("targets", "down")
    assert (down.returncode, down.stdout) == (0, "Down.\n")
    assert all(gone(process) for process in [supervisor, *servers])
    assert not state_file(environ).exists()
    assert loadtests("targets", "status").returncode == 2
    assert loadtests("targets", "down").stdout == "No databases are up.\n"


@pytest.mark.embedded
def test_up_survives_its_holder_being_killed(loadtests, environ):
    assert loadtests("targets", "up", "--backend", "postgres").returncode == 0
    running = find_supervisor(environ)
    assert running.endpoints.dynamodb is None
    supervisor = psutil.Process(running.pid)
    servers = supervisor.children(recursive=True)
    supervisor.kill()
    assert all(gone(process) for process in [supervisor, *servers])
    status = loadtests("targets", "status")
    assert status.returncode == 2
    assert not state_file(environ).exists()


@pytest.mark.parametrize("backend", ["dynamodb", "postgres"])
def test_a_port_in_use_is_told(loadtests, environ, backend):
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


def test_no_emulator_at_the_home_named(loadtests, tmp_path):
    up = loadtests("targets", "up", DYNAMODB_LOCAL_HOME=str(tmp_path))
    assert up.returncode == 2
    assert "which does not contain DynamoDBLocal.jar and DynamoDBLocal_lib" in up.stderr
    assert "Traceback" not in up.stderr


def test_env_with_nothing_up(loadtests):
    env = loadtests("targets", "env")
    assert (env.returncode, env.stdout) == (2, "")
    assert "targets up" in env.stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--dynamodb-endpoint", "nonsense"], "is not a URL of scheme, host and port only"),
        (["--dynamodb-endpoint", "http://192.0.2.1:8000"], "is not on this machine"),
        (["--postgres-dsn", "postgresql://u:s3cret@192.0.2.1/d"], "is not on this machine"),
        (["--postgres-dsn", "postgresql://u:s3cret@127.0.0.1:1/d"], "did not respond"),
    ],
)
def test_verify_of_a_target_that_cannot_be_used(loadtests, flags, told):
    verified = loadtests("verify", *flags)
    assert verified.returncode == 2
    assert told in verified.stderr
    assert "Hint: " in verified.stderr
    assert "Traceback" not in verified.stderr
    assert "s3cret" not in verified.stderr + verified.stdout
    assert verified.stdout == ""


def test_what_is_running_is_found_by_its_living_process(environ):
    write_state(environ, HERE)
    running = find_supervisor(environ)
    assert (running.pid, running.endpoints) == (os.getpid(), HERE)
    remove_state(environ)
    assert find_supervisor(environ) is None


@pytest.mark.parametrize("change", [{"created": 12.5}, {"pid": 2**22 + 1}, {"endpoints": None}])
def test_a_stale_state_is_removed(environ, change):
    write_state(environ, HERE)
    path = state_file(environ)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert find_supervisor(environ) is None
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": "x"}'])
def test_a_damaged_state_is_removed(environ, content):
    state_file(environ).write_text(content)
    assert find_supervisor(environ) is None
    assert not state_file(environ).exists()
