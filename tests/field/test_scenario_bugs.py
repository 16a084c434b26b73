"""A scenario's own bug can be found, and ends a run that it alone decides (exit code 2).

Before, a scenario whose every call failed with "AttributeError" gave a FAIL, and neither the
message nor the line was to be found.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from greenlet import GreenletExit
from locust.env import Environment
from locust.exception import StopUser
from rich.console import Console

from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.errors import EXIT_ERROR
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.faults import MAX_KINDS, MIN_CALLS, FaultWatch, describe_fault
from loadtests.load.locust.session import LoadSession, open_session
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.measure.messages import LocustEntry, ScenarioFailed
from loadtests.measure.results import Run, ScenarioError, read_run
from loadtests.patterns import is_pattern_name
from loadtests.report.build import render
from loadtests.report.formats.terminal import terminal_summary
from loadtests.report.page import build_page
from tests.run_folders import write_run

ROOT: Final = Path(__file__).resolve().parents[2]
SCENARIO: Final = """
from cart import CartUser
from loadtests.load.plugin import access_pattern

class BrokenUser(CartUser):
    @access_pattern("cart.get", share=40)
    def get(self):
        self.call(self.carts.fetch_all, self.cart_work.any_cart().user_id)
del CartUser
"""


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


def raised(error: Exception) -> Exception:
    """The error with a trace, as a scenario's method leaves it."""
    try:
        raise error
    except type(error) as caught:
        return caught


def fault(error: Exception, pattern: str = "cart.get") -> ScenarioError:
    return describe_fault(raised(error), pattern, "dynamodb")


def entry(
    count: int, errors: dict[str, int], pattern: str = "cart.get", backend: str = "dynamodb"
) -> LocustEntry:
    return LocustEntry(
        pattern=pattern, backend=backend, count=count, errors=errors,
        total_ms=0.0, min_ms=0.0, max_ms=0.0, response_times=[],
    )  # fmt: skip


def test_a_fault_names_the_line_of_the_users_own_code() -> None:
    """The innermost frame is in the harness; the user's file is what must be corrected."""
    try:
        is_pattern_name(3)  # type: ignore[arg-type]
    except TypeError as error:
        found = describe_fault(error, "cart.get", "dynamodb")
    assert found.name == "TypeError"
    assert "line" in found.place
    assert found.place.startswith("test_scenario_bugs.py, line ")
    assert found.place.endswith("`is_pattern_name(3)  # type: ignore[arg-type]`")
    assert "Traceback" in found.trace


def test_the_first_of_each_kind_is_kept() -> None:
    watch = FaultWatch()
    assert watch.note(fault(KeyError("a")))
    assert not watch.note(fault(KeyError("b")))
    assert watch.note(fault(KeyError("a"), "cart.add"))
    for number in range(2 * MAX_KINDS):
        watch.note(fault(type(f"Error{number}", (Exception,), {})()))
    assert len(watch.faults) == MAX_KINDS


@pytest.mark.parametrize(
    ("entries", "ends"),
    [
        ([entry(MIN_CALLS, {"AttributeError": MIN_CALLS})], True),
        ([entry(MIN_CALLS - 1, {"AttributeError": MIN_CALLS - 1})], False),
        ([entry(MIN_CALLS, {"AttributeError": MIN_CALLS - 1})], False),
        ([entry(9, {"AttributeError": 9}), entry(40, {"AttributeError": 40})], True),
        ([entry(1, {}), entry(400, {"AttributeError": 400})], False),
        ([entry(40, {"AttributeError": 20, "CallTimeout": 20})], False),
        ([entry(40, {"AttributeError": 40}, backend="postgres")], False),
    ],
)
def test_a_pattern_that_only_ever_failed_so_ends_the_run(
    entries: list[LocustEntry], ends: bool
) -> None:
    watch = FaultWatch()
    watch.note(fault(AttributeError("'Store' object has no attribute 'fetch'")))
    watch.count(entries)
    verdict = watch.verdict()
    assert (verdict is not None) is ends
    if verdict:
        assert "calls of cart.get on dynamodb failed with AttributeError" in verdict.message
        assert "has no attribute 'fetch'" in verdict.message
        assert "test_scenario_bugs.py, line" in verdict.hint


@pytest.mark.parametrize("error", [ConnectionResetError("by peer"), RuntimeError("pool is empty")])
def test_a_database_that_refuses_every_call_is_no_bug(error: Exception) -> None:
    """A team's own store raises what its client raises; that is a result, and has a trace too."""
    watch = FaultWatch()
    assert watch.note(fault(error))
    watch.count([entry(500, {type(error).__name__: 500})])
    assert watch.verdict() is None
    assert watch.final_verdict() is None


def test_a_short_run_in_which_all_calls_failed_is_no_measurement() -> None:
    watch = FaultWatch()
    watch.note(fault(ZeroDivisionError()))
    watch.count([entry(2, {"ZeroDivisionError": 2})])
    assert watch.verdict() is None
    assert watch.final_verdict() is not None
    watch.count([entry(1, {}, "cart.add")])
    assert watch.final_verdict() is None


def controller() -> tuple[RunController, list[object]]:
    """A controller in a run, and the frames that it sends."""
    made = RunController(LoadSession(Environment()), "cart")
    frames: list[object] = []
    made._scribe = SimpleNamespace(send=lambda frame, payload=b"": frames.append(frame))  # type: ignore[assignment]
    made._run = SimpleNamespace(state="running")  # type: ignore[assignment]
    return made, frames


def test_the_trace_is_logged_once_and_stored(caplog: pytest.LogCaptureFixture) -> None:
    run, frames = controller()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            run.report_fault(fault(AttributeError("no such method")))
    assert Counter(type(frame) for frame in frames) == {ScenarioFailed: 1}
    assert len(caplog.records) == 1
    assert "cart.get on dynamodb: the scenario raised AttributeError" in caplog.text
    assert "Traceback (most recent call last)" in caplog.text


def test_a_workers_fault_goes_to_the_master() -> None:
    run, frames = controller()
    sent: list[ScenarioError] = []
    run.on_fault = sent.append
    run.report_fault(fault(AttributeError("no such method")))
    assert [each.name for each in sent] == ["AttributeError"]
    assert frames == []


def test_a_run_of_nothing_but_one_bug_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = controller()
    run.report_fault(fault(AttributeError("no such method")))
    line = b'[{"pattern":"cart.get","backend":"dynamodb","count":50,"total_ms":1.0,"min_ms":0.0,'
    line += b'"max_ms":1.0,"response_times":[[1,50]],"errors":{"AttributeError":50}}]'
    run._on_line("locust", line)
    assert run.session.exit_code == EXIT_ERROR
    assert run.environment.process_exit_code == EXIT_ERROR
    assert capsys.readouterr().err.startswith("Error: All 50 calls of cart.get on dynamodb failed")


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_a_bug_in_a_users_hook_is_one_message(
    hook: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A scenario's on_start raised: a stack trace for each of 100 users, and a run without them."""

    class HookUser(CartUser):
        def on_start(self) -> None:
            raise KeyError("token")

        def on_stop(self) -> None:
            raise KeyError("token")

    environment = Environment(user_classes=[HookUser])
    session = open_session(environment)
    for _ in range(3):
        with pytest.raises(GreenletExit):
            getattr(HookUser(environment), hook)()
    assert session.exit_code == EXIT_ERROR
    message = capsys.readouterr().err
    assert message.startswith(f"Error: HookUser.{hook} failed with KeyError: 'token'.\n")
    assert message.count("Hint: Correct it: test_scenario_bugs.py, line") == 1
    assert caplog.text.count("Traceback") == 1


def test_a_user_that_ends_itself_is_no_bug() -> None:
    class LeavingUser(CartUser):
        def on_start(self) -> None:
            raise StopUser

    environment = Environment(user_classes=[LeavingUser])
    session = open_session(environment)
    with pytest.raises(StopUser):
        LeavingUser(environment).on_start()
    assert session.exit_code is None


@pytest.fixture
def run_with_bug(tmp_path: Path) -> Run:
    path = tmp_path / "20260302T093000Z-cart-bug"
    run = write_run(path, seconds=5, warm_up_s=1)
    run.info.scenario_errors.append(
        ScenarioError(
            pattern="cart.get", backend="dynamodb", name="KeyError", message="'<b>total</b>'",
            place="cart.py, line 20, in get: `cart['total']`", trace="Traceback\n  <i>cart.py</i>",
            is_programming_error=True,
        )
    )  # fmt: skip
    return run


def test_report_summary_and_terminal_name_the_bug(run_with_bug: Run) -> None:
    files = render(build_page(run_with_bug))
    html = files["report.html"].decode()
    assert "The scenario raised KeyError in cart.get on DynamoDB" in html
    assert "Traceback\n  &lt;i&gt;cart.py&lt;/i&gt;" in html
    summary = files["summary.md"].decode()
    assert "The scenario raised KeyError in cart.get on DynamoDB" in summary
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_summary(run_with_bug))
    assert "The scenario raised KeyError in cart.get on DynamoDB" in console.export_text()


def test_run_json_keeps_it(run_with_bug: Run) -> None:
    (run_with_bug.path / "run.json").write_text(run_with_bug.info.model_dump_json(by_alias=True))
    [error] = read_run(run_with_bug.path).info.scenario_errors
    assert (error.name, error.trace) == ("KeyError", "Traceback\n  <i>cart.py</i>")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(SCRIPTS["constant"]) as running:
        yield running


def test_a_whole_run_of_a_broken_scenario(tmp_path: Path, server: ScriptedServer) -> None:
    """`self.carts.fetch_all` does not exist: the run ends within seconds, and says where."""
    (tmp_path / "loadtests.toml").write_text("[data]\nusers = 20\nbooks = 20\n")
    scenario = tmp_path / "broken.py"
    scenario.write_text(SCENARIO)
    flags: Any = (
        "--headless --only-summary --run-time 60s --warm-up 0 --rate 200 --backend dynamodb"
        f" --dynamodb-endpoint {server.url} --results {tmp_path}/results"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(scenario), *flags.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scenarios")},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert ended.returncode == EXIT_ERROR, ended.stderr
    assert "calls of cart.get on dynamodb failed with AttributeError" in ended.stderr
    assert "Hint: Correct the scenario: broken.py, line " in ended.stderr
    assert ended.stderr.count("Traceback (most recent call last)") == 1
    [error] = read_run(tmp_path / "results/latest").info.scenario_errors
    assert error.is_programming_error
