"""Kind 13: terminals, files and CI logs: nothing is redrawn in a log, and nothing is cut."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from loadtests.cli.screen.console import PLAIN_WIDTH, is_redrawn, open_console, print_whole
from loadtests.cli.screen.gate import Screen
from loadtests.cli.screen.progress import show_steps
from loadtests.measure.results import RunInfo, read_info, read_run
from loadtests.microbench.tables import summary
from loadtests.targets.progress import Progress
from tests.cli.verbs import run_verb, write_gate_run, write_pair
from tests.run_folders import MadeSeries, write_run

VARIABLES: Final = (
    "CI", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
)  # fmt: skip
MOVES: Final = re.compile(r"\x1b\[[\d;?]*[A-HJKfhlsu]|\r")  # cursor movements, and erasing


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable about terminals, and an empty folder."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two runs."""
    results = tmp_path_factory.mktemp("stored") / "results"
    write_pair(results / "20260301T000000Z-cart-0000aa", seed=1)
    write_pair(
        results / "20260302T000000Z-cart-0000bb", seed=2, by=1.3, started_at="2026-03-03T09:30:00Z"
    )
    return results


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> RunInfo:
    return read_info(write_gate_run(tmp_path_factory.mktemp("running") / "run", seconds=3))


def show_a_gate(running: RunInfo, console: Console) -> None:
    """What a gate shows while it works."""
    with Screen(console) as screen:
        for done in range(20):
            screen.progress(Progress("Seeding", done, 19))
        screen.plan(60.0, 5.0)
        for second in range(60):
            screen.show(running.model_copy(update={"duration_s": float(second)}))


@pytest.mark.parametrize(
    ("environ", "stream", "redrawn"),
    [
        ({"TERM": "xterm"}, Terminal, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Terminal, True),
        ({"TERM": "xterm", "FORCE_COLOR": "1"}, io.StringIO, False),
        ({"TERM": "xterm", "FORCE_COLOR": "1", "CI": "true"}, io.StringIO, False),
        ({"TERM": "xterm", "CI": "true"}, Terminal, False),
        ({"TERM": "xterm", "CI": "false"}, Terminal, True),
        ({"TERM": "xterm", "TTY_COMPATIBLE": "1"}, io.StringIO, False),
        ({"TERM": "xterm", "TTY_COMPATIBLE": "0"}, Terminal, False),
        ({"TERM": "dumb"}, Terminal, False),
        ({}, Terminal, False),
    ],
)
def test_only_a_terminal_is_redrawn(
    environ: dict[str, str],
    stream: Callable[[], io.StringIO],
    redrawn: bool,
    monkeypatch: pytest.MonkeyPatch,
    running: RunInfo,
) -> None:
    """FORCE_COLOR in a CI job: a log of 137 kB, most of it cursor movements."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    assert is_redrawn(out) is redrawn
    show_a_gate(running, open_console())
    assert bool(MOVES.search(out.getvalue())) is redrawn
    if not redrawn:
        assert len(out.getvalue()) < 5_000
    if "NO_COLOR" in environ:
        assert not re.search(r"\x1b\[(?:\d+;)*[349]\d", out.getvalue())


def test_steps_in_a_coloured_log_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """`targets up` in CI with FORCE_COLOR."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    with show_steps() as show:
        for done in range(1, 11):
            show(Progress("Seeding", done, 10))
    assert len(out.getvalue().splitlines()) == 2
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("columns", "terminal", "width"),
    [
        ("0", False, PLAIN_WIDTH),
        ("0", True, PLAIN_WIDTH),  # a terminal of unknown size
        ("20", True, 20),
        ("400", False, 400),
        ("80", False, 80),
        ("wide", False, PLAIN_WIDTH),
        (None, False, PLAIN_WIDTH),
    ],
)
def test_columns_is_the_width(
    columns: str | None, terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shells and containers export COLUMNS=0: the tables were empty."""
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    assert open_console().width == width


def figures_in(output: str) -> list[str]:
    return re.findall(r"\d+\.\d+", output)


@pytest.mark.parametrize("columns", [0, 20, 80, 400])
@pytest.mark.parametrize(
    "arguments",
    [
        ["history"],
        ["history", "--pattern", "cart.get"],
        ["compare", "results/20260301T000000Z-cart-0000aa", "results/20260302T000000Z-cart-0000bb"],
        ["report", "results/20260301T000000Z-cart-0000aa"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_figure_is_cut(
    stored: Path,
    arguments: list[str],
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`history` and `compare` at 80 columns ended cells with "…", p99 among them."""
    (tmp_path / "results").symlink_to(stored)
    monkeypatch.setattr("loadtests.cli.report.render", lambda page: {"report.html": b""})
    monkeypatch.setenv("COLUMNS", str(columns))
    _, output = run_verb(*arguments)
    assert "…" not in output.replace(" … ", " ")
    monkeypatch.setenv("COLUMNS", "400")
    _, whole = run_verb(*arguments)
    table = "\n".join(line for line in output.splitlines() if "cart." in line)
    wanted = "\n".join(line for line in whole.splitlines() if "cart." in line)
    assert figures_in(table) == figures_in(wanted)
    if columns == 80:
        tables = [line for line in output.splitlines() if not line.startswith("Report: ")]
        assert max(map(len, tables)) <= 80


@pytest.mark.parametrize(("columns", "lines_with_a_driver"), [(80, 1), (50, 5)])
def test_micro_benchmarks_of_five_drivers_fit_the_terminal(
    columns: int, lines_with_a_driver: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gate --micro` at 80 columns: the last drivers were cut off."""
    drivers = {"wire": "dynamodb", "boto3": "dynamodb", "aioboto3": "dynamodb",
               "psycopg": "postgres", "asyncpg": "postgres"}  # fmt: skip
    series = [MadeSeries(backend, driver, "cart.get", median_ms=123.0, rate_per_s=100)
              for driver, backend in drivers.items()]  # fmt: skip
    run = read_run(write_run(tmp_path / "micro", series=series, seconds=4).path)
    monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    print_whole(open_console(), *summary(run))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in out.getvalue()
    named = [line for line in lines if any(driver in line for driver in drivers)]
    assert len(named) == lines_with_a_driver
