"""The process's exit code: 1 means FAIL and nothing else, whatever breaks and wherever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from loadtests.__main__ import INTERRUPTED, run, run_root
from loadtests.errors import EXIT_ERROR, DownloadError, UsageError
from tests.cli.verbs import SLOW_MS, write_gate_run

CRASHES: Final = [
    RuntimeError("a fault"),
    OSError(28, "No space left on device"),
    UnicodeEncodeError("ascii", "✓", 0, 1, "ordinal not in range(128)"),
    MemoryError(),
    BrokenPipeError(32, "Broken pipe"),
    SystemExit(1),
    SystemExit(0),
    SystemExit("text"),
    AssertionError("two\nlines"),
]
LAYERS: Final = [
    "loadtests.cli.importlib.import_module",
    "loadtests.config.read_settings_file",
    "loadtests.cli.runs.closing.read_run",
    "loadtests.judge.storing.judge_run",
    "loadtests.cli.runs.closing.store_verdict",
    "loadtests.report.build.build_reports",
]
PASS_CODE: Final = 0
FAIL_CODE: Final = 1


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADTESTS_DEBUG", raising=False)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is judged FAIL."""
    return write_gate_run(tmp_path_factory.mktemp("failed") / "run", median_ms=SLOW_MS)


def raising(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def loadtests(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["loadtests", *map(str, arguments)])
    return run(run_root)


@pytest.mark.parametrize("error", CRASHES, ids=repr)
def test_every_other_exception_ends_with_2_and_one_sentence(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run(fail) == EXIT_ERROR
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"Error: Internal error: {type(error).__name__}")
    assert "--debug" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("error", CRASHES[:6], ids=repr)
def test_a_crash_in_any_layer_ends_with_2(
    failed: Path, monkeypatch: pytest.MonkeyPatch, layer: str, error: BaseException
) -> None:
    monkeypatch.setattr(layer, raising(error))
    assert loadtests(monkeypatch, "gate", failed) == EXIT_ERROR


@pytest.mark.parametrize("error", CRASHES[:5], ids=repr)
@pytest.mark.parametrize("layer", ["terminal_summary", "shown_path", "Screen.print", "click.echo"])
def test_a_verdict_that_cannot_be_printed_keeps_its_code(
    failed: Path, monkeypatch: pytest.MonkeyPatch, layer: str, error: BaseException
) -> None:
    monkeypatch.setattr("loadtests.report.build.build_reports", lambda path: [path])
    monkeypatch.setattr(f"loadtests.cli.runs.closing.{layer}", raising(error))
    assert loadtests(monkeypatch, "gate", failed) == FAIL_CODE
    stored = json.loads((failed / "run.json").read_text(encoding="utf-8"))
    assert stored["verdict"]["status"] == "FAIL"


def test_errors_of_the_project_keep_their_sentence_and_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise DownloadError("It is not there.", hint="Look elsewhere.")

    assert run(fail) == EXIT_ERROR
    assert capsys.readouterr().err == "Error: It is not there.\nHint: Look elsewhere.\n"


def test_a_trace_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOADTESTS_DEBUG", "0")
    monkeypatch.setattr("loadtests.cli.history.read_history", raising(RuntimeError("a fault")))
    assert loadtests(monkeypatch, "history") == EXIT_ERROR
    assert "Traceback" not in capsys.readouterr().err
    assert loadtests(monkeypatch, "--debug", "history") == EXIT_ERROR
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("Error: Internal error: RuntimeError: a fault\n")


def test_an_interruption_has_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    assert run(fail) == INTERRUPTED
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3), (4, 4)])
def test_a_verb_gives_the_code(returned: int | None, code: int) -> None:
    assert run(lambda: returned) == code


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["gate", "--rate", "x"], ["gate", "--nonsense"], ["compare"]]
)
def test_a_usage_error_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert loadtests(monkeypatch, *arguments) == EXIT_ERROR
    assert "Error: " in capsys.readouterr().err


def test_a_verb_may_raise_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loadtests.cli.history.load_config", raising(UsageError("No.")))
    assert loadtests(monkeypatch, "history") == EXIT_ERROR
    assert capsys.readouterr().err == "Error: No.\n"


def start(*arguments: object, stdout: int, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "loadtests", *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )


def test_a_closed_pipe_changes_no_verdict(failed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start("gate", failed, stdout=writing)
    os.close(writing)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (FAIL_CODE, b"")


def test_a_full_disk_under_standard_output_changes_no_verdict(failed: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = start("gate", failed, stdout=full.fileno())
        _, error = process.communicate(timeout=120)
    assert process.returncode == FAIL_CODE
    assert error == b"Warning: standard output is incomplete: No space left on device.\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_an_encoding_without_the_characters_changes_no_verdict(failed: Path, encoding: str) -> None:
    process = start("gate", failed, stdout=subprocess.PIPE, PYTHONIOENCODING=encoding, LC_ALL="C")
    output, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (FAIL_CODE, b"")
    assert b"Exit code 1 (FAIL)" in output


def test_a_reader_that_leaves_early_is_no_error(failed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start("history", "--results", failed.parent, stdout=writing)
    os.close(writing)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (PASS_CODE, b"")
