"""Kind 1: exit code 1 means FAIL and nothing else, whichever verb, wherever it breaks.

`tests/test_main.py` has the layers of the gate; here are the other verbs and hostile processes.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from loadtests.__main__ import INTERRUPTED, TERMINATED, run, run_root
from loadtests.errors import EXIT_ERROR, EXIT_FAIL, Terminated
from tests.cli.verbs import SLOW_MS, write_gate_run


class Mute(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")


CRASHES: Final = [
    RuntimeError("a fault"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system", "results/run.json"),
    UnicodeEncodeError("latin-1", "…", 0, 1, "ordinal not in range(256)"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    SystemExit(1),
    SystemExit(0),
    AssertionError(),
    ExceptionGroup("two", [ValueError("one"), ValueError("two")]),
    Mute(),
]
# where each verb is broken, and its arguments; RUN is a run folder
VERBS: Final = {
    "loadtests.cli.gate.load_config": "gate",
    "loadtests.cli.runs.closing.show_run": "gate RUN",
    "loadtests.cli.report.build_page": "report RUN",
    "loadtests.cli.compare.compare_runs": "compare RUN RUN",
    "loadtests.cli.baseline.baseline_names": "baseline list",
    "loadtests.cli.baseline.promote": "baseline promote RUN",
    "loadtests.cli.history.figures_of": "history --results RESULTS",
    "loadtests.cli.verify.open_endpoints": "verify",
    "loadtests.cli.targets.load_config": "targets up",
    "loadtests.cli.calibrate.measure_cell": "calibrate --results CALIBRATION",
    "loadtests.cli.calibrate_gate.read_run": "calibrate gate RUN",
    "loadtests.cli.capacity.rates_of": "capacity",
    "loadtests.cli.plan.read_scenarios": "plan",
    "loadtests.cli.settings.load_settings": "settings",
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with nothing but the scenario without which `calibrate` does not begin."""
    monkeypatch.chdir(tmp_path)
    Path("scenarios").mkdir()
    Path("scenarios/cart.py").touch()
    monkeypatch.delenv("LOADTESTS_DEBUG", raising=False)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is judged FAIL."""
    return write_gate_run(tmp_path_factory.mktemp("results") / "run", median_ms=SLOW_MS)


def code_of(monkeypatch: pytest.MonkeyPatch, layer: str, error: BaseException, failed: Path) -> int:
    """The exit code of the layer's verb when the layer raises the error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    places = {"RUN": failed, "RESULTS": failed.parent, "CALIBRATION": "calibration"}
    arguments = [str(places.get(word, word)) for word in VERBS[layer].split()]
    monkeypatch.setattr(layer, fail)
    monkeypatch.setattr(sys, "argv", ["loadtests", *arguments])
    return run(run_root)


@pytest.mark.parametrize("layer", VERBS)
def test_every_verb_ends_with_2_whatever_breaks_inside(
    layer: str, failed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI took exit code 1 for a broken limit, where the console was Latin-1 or the disk full."""
    for error in CRASHES:
        assert code_of(monkeypatch, layer, error, failed) == EXIT_ERROR, error
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("Error: "), error
        assert lines[1].startswith("Hint: "), error
        assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize("layer", VERBS)
@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted."),
        (Terminated(), TERMINATED, "Terminated."),
    ],
)
def test_an_interrupted_verb_says_so_and_has_no_trace(
    layer: str,
    error: BaseException,
    code: int,
    text: str,
    failed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C, or `docker stop`, in any verb."""
    assert code_of(monkeypatch, layer, error, failed) == code
    assert capsys.readouterr().err.split() == [text]


@pytest.mark.parametrize("error", CRASHES, ids=lambda error: type(error).__name__)
def test_debug_shows_the_trace(
    error: BaseException,
    failed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also of an exception whose own text fails."""
    monkeypatch.setenv("LOADTESTS_DEBUG", "1")
    assert code_of(monkeypatch, "loadtests.cli.settings.load_settings", error, failed) == EXIT_ERROR
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "\nError: " in shown


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "Free some space"),
        (errno.EACCES, "right"),
        (errno.EMFILE, "ulimit"),
    ],
)
def test_a_refusal_of_the_machine_is_no_defect(
    number: int,
    hint: str,
    failed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`Internal error: OSError` sent people to the issue tracker for a full disk."""
    error = OSError(number, os.strerror(number), "results/run.json")
    layer = "loadtests.cli.report.build_page"
    assert code_of(monkeypatch, layer, error, failed) == EXIT_ERROR
    shown = capsys.readouterr().err
    assert shown.startswith(f"Error: {os.strerror(number)}: results/run.json\n")
    assert hint in shown
    assert "Internal" not in shown


def test_a_process_without_its_standard_streams_keeps_the_verdicts_code(failed: Path) -> None:
    """A service manager that starts the gate with closed descriptors; optimised Python."""
    done = subprocess.run(
        [
            "sh",
            "-c",
            'exec "$0" -O -X utf8=0 -m loadtests gate "$1" <&- >&- 2>&-',
            sys.executable,
            str(failed),
        ],
        env={**os.environ, "LC_ALL": "C", "HOME": "/nonexistent"},
        check=False,
        timeout=120,
    )
    assert done.returncode == EXIT_FAIL
