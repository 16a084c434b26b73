"""What goes wrong in a listener of the plugin ends Locust with exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import gevent
import pytest

from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.errors import EXIT_ERROR, UsageError
from loadtests.load.locust.session import exit_on_error
from loadtests.load.plugin import update_loop_time

ROOT: Final = Path(__file__).parents[2]
SCENARIO: Final = """
from cart import CartUser
from loadtests.load import plugin

def crash(self, *arguments, **keywords):
    raise {error}

plugin.OwnerRole.{listener} = crash
"""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a fault"),
        OSError(28, "No space left on device"),
        UnicodeEncodeError("ascii", "✓", 0, 1, "ordinal not in range(128)"),
        MemoryError(),
        BrokenPipeError(32, "Broken pipe"),
    ],
    ids=repr,
)
def test_any_error_of_a_listener_ends_the_process_with_2(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    @exit_on_error
    def listener() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        listener()
    assert caught.value.code == EXIT_ERROR
    assert capsys.readouterr().err.startswith(f"Error: Internal error: {type(error).__name__}")


def test_a_users_mistake_keeps_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    @exit_on_error
    def listener() -> None:
        raise UsageError("No.", hint="Yes.")

    with pytest.raises(SystemExit) as caught:
        listener()
    assert caught.value.code == EXIT_ERROR
    assert capsys.readouterr().err == "Error: No.\nHint: Yes.\n"


def test_a_listener_without_an_error_gets_its_arguments() -> None:
    calls: list[tuple[object, object]] = []
    exit_on_error(lambda first, *, second: calls.append((first, second)))(1, second=2)
    assert calls == [(1, 2)]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(SCRIPTS["constant"]) as running:
        yield running


@pytest.mark.parametrize(
    ("listener", "error"),
    [
        ("on_start", "RuntimeError('a fault')"),
        ("on_spawned", "BrokenPipeError(32, 'a fault')"),
        ("on_stop", "MemoryError('a fault')"),
    ],
)
def test_locust_ends_with_2_when_a_listener_crashes(
    tmp_path: Path, server: ScriptedServer, listener: str, error: str
) -> None:
    (tmp_path / "loadtests.toml").write_text("[data]\nusers = 20\nbooks = 20\n")
    scenario = tmp_path / "crashing.py"
    scenario.write_text(SCENARIO.format(listener=listener, error=error))
    flags = (
        "--headless --only-summary --run-time 2s --warm-up 0 --rate 20 --no-report"
        f" --backend dynamodb --dynamodb-endpoint {server.url} --results {tmp_path}"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(scenario), *flags.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scenarios")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == EXIT_ERROR, ended.stderr
    assert f"Error: Internal error: {error.split('(')[0]}" in ended.stderr
    assert "a fault" in ended.stderr


def test_a_timer_counts_from_now_though_the_loop_has_not_run_meanwhile() -> None:
    loop = gevent.get_hub().loop
    update_loop_time()
    before = loop.now()
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.02:
        pass
    assert loop.now() == before
    update_loop_time()
    assert loop.now() >= before + 0.02
