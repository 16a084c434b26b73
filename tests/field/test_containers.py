"""Kind 9: accounts and containers. It works, or one sentence says why not, before anything."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtests.config import Config
from loadtests.errors import ResultsError, TargetError
from loadtests.interpreter import module_command
from loadtests.measure.run_folder import require_results_folder
from loadtests.targets.embedded import download, dynamodb_local
from loadtests.targets.embedded.server_environment import server_environment
from loadtests.targets.embedded.start import start_embedded
from loadtests.targets.progress import ignore

ROOT = Path(__file__).parents[2]


def run(
    command: list[str], folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """Below the temporary folder itself: pytest's own is closed to `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="loadtests-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder whose files have the names of modules."""
    folder = tmp_path / "project"
    for name in ("secrets.py", "random.py", "locust.py", "loadtests/__init__.py", "click.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"raise SystemExit('{name} of the current folder was imported')\n")
    return folder


def test_modules_of_the_current_folder_are_not_imported(hostile: Path, tmp_path: Path) -> None:
    """A project had a secrets.py (or locust.py, or loadtests/): every process of the harness
    imported it, and the supervisor "ended unexpectedly"."""
    status = run(
        module_command("loadtests", "targets", "status"), hostile, LOADTESTS_CACHE=str(tmp_path)
    )
    assert (status.returncode, status.stderr) == (2, ""), status.stderr
    assert "No databases are up" in status.stdout
    supervisor = run(module_command("loadtests.targets.supervisor.server"), hostile)
    assert "reads its request from a pipe" in supervisor.stdout, supervisor.stderr


def test_every_module_is_started_by_one_function() -> None:
    """`python -m` searches the current folder first; `-P` must not be forgotten."""
    offenders = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "loadtests").rglob("*.py"))
        if path.name != "interpreter.py"
        and re.search(r'sys\.executable,\s*"-m"', path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


def test_variables_for_the_users_own_python_change_nothing(tmp_path: Path) -> None:
    """PYTHONWARNINGS=error ended runs by a DeprecationWarning of a library; with PYTHONINSPECT the
    verdict's exit code was lost."""
    status = run(
        [sys.executable, "-m", "loadtests", "targets", "status"],
        LOADTESTS_CACHE=str(tmp_path),
        PYTHONWARNINGS="error",
        PYTHONOPTIMIZE="2",
        PYTHONSTARTUP="/nowhere",
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert (status.returncode, status.stderr) == (2, "")


def test_the_embedded_servers_see_no_variable_of_the_user() -> None:
    """PGOPTIONS, JAVA_TOOL_OPTIONS, CLASSPATH, LD_PRELOAD and others stopped or changed them."""
    environ = dict.fromkeys(
        (
            *("PGOPTIONS", "PGSSLMODE", "PGDATA", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"),
            *("JDK_JAVA_OPTIONS", "CLASSPATH", "LD_PRELOAD", "AWS_PROFILE", "LC_MESSAGES", "LANG"),
            *("PYTHONHOME", "TZ", "TMPDIR", "MALLOC_ARENA_MAX"),
        ),
        "x",
    )
    given = server_environment({**environ, "PATH": "/bin"}, locale="C")
    assert given == {"PATH": "/bin", "LC_ALL": "C"}


@pytest.mark.embedded
def test_dynamodb_local_starts_from_any_path_in_any_locale(own_cache: Path, tmp_path: Path) -> None:
    """A `:` in the path of the cache split the class path; in locale C the JVM did not find a path
    that is not ASCII; JAVA_TOOL_OPTIONS reached it."""
    folder = tmp_path / "a:b c é"
    folder.mkdir()
    home = folder / "dynamodb-home"
    home.symlink_to((own_cache / download.DYNAMODB_LOCAL.folder).resolve())
    environ = {
        **os.environ,
        "LC_ALL": "C",
        "JAVA_TOOL_OPTIONS": "-Xmx1m",
        "LD_PRELOAD": "/nowhere.so",
    }
    server = dynamodb_local.start(home, 0, folder, environ)
    try:
        deadline = time.monotonic() + 60
        while dynamodb_local.ready_port(server) is None:
            assert not server.ended(), server.log_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        server.stop()


PREPARE = """
import os, sys
from pathlib import Path
from loadtests.errors import TargetError
from loadtests.targets.embedded.postgres import initialise
from loadtests.targets.embedded.postgres_installation import prepare
try:
    cluster = initialise(prepare(Path(sys.argv[1]), os.environ), os.environ)
    print("owner", cluster.owner)
except TargetError as error:
    print(error.message, error.hint)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="is about root without capabilities"
)
@pytest.mark.embedded
@pytest.mark.parametrize("lost", ["-setuid,-setgid", "-chown"])
def test_a_root_without_capabilities_is_seen_as_a_named_user_or_refused(
    folder: Path, lost: str
) -> None:
    """In a container with `--cap-drop ALL` root can neither become another user nor give files
    away. A stack trace in the supervisor was the answer."""
    done = run(
        ["setpriv", "--bounding-set", lost, sys.executable, "-P", "-c", PREPARE, str(folder)]
    )
    assert done.returncode == 0, done.stderr
    assert "owner as:" in done.stdout or "SETUID, SETGID and CHOWN" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("shell", "flags", "sentence"),
    [
        ("ulimit -n 64", [], "100 users and their databases need 300 open files"),
        ("true", ["--results", "FILE/results"], "No run can be written to"),
        ("true", ["--results", "/proc/results"], "No run can be written to"),
    ],
)
def test_what_a_run_lacks_is_said_before_anything_starts(
    tmp_path: Path, shell: str, flags: list[str], sentence: str
) -> None:
    """With few open files the connections that failed were counted as the database's errors. A
    results folder that cannot be written to was found after the seeding."""
    (tmp_path / "FILE").touch()
    arguments = [flag.replace("FILE", str(tmp_path / "FILE")) for flag in flags]
    command = ["sh", "-c", f'{shell}; exec "$@"', "sh", sys.executable, "-m", "loadtests", "gate"]
    done = run([*command, *(arguments or ["--results", str(tmp_path)])])
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Hint: " in done.stderr
    assert "Starting" not in done.stderr


def test_a_full_results_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full after two minutes of measuring."""
    require_results_folder(tmp_path / "results" / "nightly")
    assert not (tmp_path / "results").exists(), "the run may still be refused"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 1 << 20))
    with pytest.raises(ResultsError, match="1 MiB are free, and a run may need 16"):
        require_results_folder(tmp_path / "results")


def test_a_file_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/tmp` became full while the databases started: "the supervisor ended unexpectedly"."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "log"))

    monkeypatch.setattr(dynamodb_local, "locate", lambda *_: tmp_path)
    monkeypatch.setattr(dynamodb_local, "start", full)
    with ExitStack() as stack, pytest.raises(TargetError, match="No space left") as caught:
        start_embedded(("dynamodb",), {}, Config(), os.environ, stack, ignore)
    assert "TMPDIR" in caught.value.hint


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id without a home: HOME is unset, and /etc/passwd has no entry."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_cache_must_be_named(tmp_path: Path) -> None:
    """In OpenShift the cache was a folder named `~` in the current folder."""
    with pytest.raises(TargetError, match="HOME is not set") as caught:
        download.cache_folder({})
    assert "LOADTESTS_CACHE" in caught.value.hint
    assert download.cache_folder({"LOADTESTS_CACHE": str(tmp_path)}) == tmp_path


@pytest.mark.usefixtures("homeless")
def test_without_a_home_npm_writes_beside_its_download(tmp_path: Path) -> None:
    """npm stopped: it found no folder for its cache and its log."""
    given = download._npm_environment({"PATH": "/bin"}, tmp_path)
    assert given["HOME"] == str(tmp_path)
    assert Path(given["npm_config_cache"]).is_relative_to(tmp_path)


def test_a_relative_cache_folder_is_ignored_as_its_standard_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """XDG_CACHE_HOME=cache downloaded DynamoDB Local again in every folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert download.cache_folder({}) == Path("/home/somebody/.cache/cloudshelf-loadtests")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("~/cache", "/home/somebody/cache"), ("cache", f"{Path.cwd()}/cache")],
)
def test_a_named_cache_folder_is_the_same_for_every_process(
    monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    """A `~` from a YAML file was the name of a folder."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert download.cache_folder({"LOADTESTS_CACHE": given}) == Path(expected)


@pytest.mark.skipif(not shutil.which("make"), reason="is about the Makefile")
@pytest.mark.parametrize("venv", ["VENV", "/proc/read-only"])
@pytest.mark.parametrize(
    ("verdict", "ended"), [(0, 0), (1, 2), (3, 2)], ids=["PASS", "FAIL", "INCONCLUSIVE"]
)
def test_make_gate_never_loses_a_verdict(
    tmp_path: Path, venv: str, verdict: int, ended: int
) -> None:
    """In a read-only project folder the file with the gate's code could not be written, and `make
    gate` ended with 0 after a FAIL."""
    gate = tmp_path / "loadtests"
    gate.write_text(f"#!/bin/sh\nexit {verdict}\n")
    gate.chmod(0o755)
    ready = tmp_path / "ready"
    ready.touch()
    venv = venv.replace("VENV", str(tmp_path))
    done = run(["make", "gate", f"VENV={venv}", f"BIN={tmp_path}", f"READY={ready}"])
    assert done.returncode == ended, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="is about the Makefile")
def test_make_without_a_complete_environment_says_so_where_nothing_can_be_written(
    tmp_path: Path,
) -> None:
    """A container with a read-only project folder got the errors of pip."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / "bin").mkdir()
    shell = tmp_path / "bin/sh"  # root may write everywhere, so `test` says that it may not
    shell.write_text('#!/bin/sh\ntest() { return 1; }\nshift; eval "$1"\n')
    shell.chmod(0o755)
    done = run(["make", "gate", f"SHELL={shell}", "PYTHON=false"], tmp_path)
    assert done.returncode == 2
    assert "cannot be written to. Run `make setup` where it can." in done.stderr
