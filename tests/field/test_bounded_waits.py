"""Kind 11: nothing waits without a bound, and nothing is said late that could be said before."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Self, cast

import click
import pytest

from loadtests.cli import root
from loadtests.cli.gate import _Extensions
from loadtests.cli.runs import factories, interim, locust_run, preflight, scenarios
from loadtests.cli.runs.children import Children
from loadtests.cli.runs.interim import InterimJudge, InterimVerdict
from loadtests.cli.runs.interruption import SIGNALS, stop_on_signal
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.locust_run import LocustRun
from loadtests.cli.runs.preflight import check_run
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config, Data, Gate, Limits, Load, Slo
from loadtests.errors import ConfigError, LoadtestsError, ResultsError, Terminated, UsageError
from loadtests.judge.baseline import promote
from loadtests.judge.stats.distributions import TailProbability
from loadtests.load.declared_stores import ScenarioClass
from loadtests.measure.results import RunInfo, read_info
from loadtests.targets.endpoints import Endpoints
from tests.cli.verbs import run_verb, write_gate_run

USER = """
from loadtests.load.plugin import OpenLoopUser, access_pattern

class Shopper(OpenLoopUser):
    @access_pattern("cart.get", share=1)
    def get(self): ...
"""
SHOPPER = ScenarioClass("Shopper", {"cart.get": 1.0})


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> LoadPlan:
    """A scenario of one class; reading it takes another process."""
    monkeypatch.setattr(preflight, "read_scenarios", lambda *_, **__: [SHOPPER])
    return LoadPlan(scenarios=("shop.py",))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """SIGINT and SIGTERM as in a terminal, also where the tests run in the background."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# --- before databases start


def refuse_databases(*_: object, **__: object) -> NoReturn:
    pytest.fail("databases were started")


def made_without_databases(*arguments: str) -> str:
    """The error of a verb, which comes before any database."""
    children = Children(open_endpoints=refuse_databases)
    with pytest.raises(LoadtestsError) as caught:
        run_verb(*arguments, children=children)
    return f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "verb", [["gate"], ["capacity"], ["compare", "--interleave", "wire", "boto3"]]
)
def test_every_verb_that_makes_a_run_looks_first(verb: list[str]) -> None:
    """Seeding took half a minute, and then there was no such scenario."""
    assert "There is no scenario no.py." in made_without_databases(*verb, "--scenario", "no.py")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("class Shopper(:\n", r"is no Python: .*line 1"),
        ("\0", "is no Python"),
        ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
        ("print('no user')\n", "has no user class"),
        ("from locust import HttpUser\nclass Old(HttpUser): ...\n", "Old in shop.py is no open-"),
        (USER.replace("cart.get", "cart gets"), "'cart gets' is no name of an access pattern"),
    ],
)
def test_a_scenario_that_cannot_be_used(tmp_path: Path, text: str, error: str) -> None:
    """Locust wrote a stack trace into a file nobody saw; the gate said so after the seeding."""
    (tmp_path / "shop.py").write_text(text)
    with pytest.raises(UsageError, match=error):
        scenarios.classes_in("shop.py")


def test_scenarios_are_read_in_another_process(tmp_path: Path) -> None:
    """A scenario that called sys.exit(0) ended the gate with PASS's code."""
    (tmp_path / "shop.py").write_text(USER)
    assert scenarios.read_scenarios(["shop.py"]) == [SHOPPER]
    (tmp_path / "shop.py").write_text("import sys; sys.exit(0)\n")
    with pytest.raises(UsageError, match=r"ended the process \(code 0\)"):
        scenarios.read_scenarios(["shop.py"])


def test_a_scenario_or_factory_that_never_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that connected when imported, to a host that drops packets."""
    monkeypatch.setattr(scenarios, "LONGEST_S", 0.5)
    monkeypatch.setattr(factories, "_LONGEST_S", 0.5)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "hanging.py").write_text("import time; time.sleep(600)")
    with pytest.raises(UsageError, match="took longer than"):
        scenarios.read_scenarios(["hanging.py"])
    config = Config(load=Load(subjects="dynamodb/hanging:stores dynamodb/wire"))
    with pytest.raises(UsageError, match="took longer than"):
        factories.settled(config)


def test_users_that_do_not_suffice(plan: LoadPlan) -> None:
    """`--users 0` waited for users for ever; `--users 1` left one backend without any."""
    few = LoadPlan(scenarios=plan.scenarios, users=1)
    with pytest.raises(UsageError, match=r"--users 1: .* 2 at least"):
        check_run(Config(), few)
    check_run(Config(), LoadPlan(scenarios=plan.scenarios, users=2))


@pytest.mark.parametrize("flag", ["--users=0", "--users=-3", "--processes=0"])
def test_a_number_that_makes_no_load(flag: str) -> None:
    with pytest.raises(click.BadParameter, match="is not in the range"):
        root.main(["gate", flag], standalone_mode=False)


def test_a_limit_of_a_misspelt_pattern(plan: LoadPlan) -> None:
    """The promise was measured for two minutes, and then a limit had not been judged."""
    limits = {"cart.gte": Limits(p99_ms=5.0)}
    with pytest.raises(ConfigError, match=r'"cart.gte": no scenario .*did you mean "cart.get"'):
        check_run(Config(slo=Slo(patterns=limits)), plan)
    # a pattern of another scenario; and one beside limits of the name that it resembles
    for others in ({"order.list": Limits()}, {**limits, "cart.get": Limits()}):
        check_run(Config(slo=Slo(patterns=others)), plan)


def test_a_results_folder_that_cannot_be_written(
    tmp_path: Path, plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only workspace: the scribe died after the seeding."""
    (tmp_path / "file").touch()
    for results in ("file", "file/results", "/proc/results"):
        with pytest.raises(ResultsError, match="No run can be written to"):
            check_run(Config(results=results), plan)

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 4096))
    with pytest.raises(ResultsError, match="0 MiB are free, and a run may need 16"):
        check_run(Config(), plan)


def test_a_run_that_ends_within_its_warm_up(plan: LoadPlan) -> None:
    with pytest.raises(ConfigError, match="not longer than warm_up"):
        check_run(Config(load=Load(run_time=5, warm_up=5)), plan)


def test_a_baseline_that_is_missing_or_of_other_conditions(tmp_path: Path, plan: LoadPlan) -> None:
    """The gate measured for two minutes, and then had no baseline to compare with."""
    gate = Gate(baseline="main")
    with pytest.raises(ResultsError, match="There is no baseline main"):
        check_run(Config(gate=gate), plan)
    run = write_gate_run(tmp_path / "run", scenario="shop")
    promote(
        [run],
        tmp_path / "results",
        name="main",
        promoted_at="2026-03-02T10:00:00Z",
        force=True,
        reason="for a test",
    )
    stored = read_info(run).config.load
    assert stored.rate is not None
    load = Load(rate=stored.rate, warm_up=3.0)
    check_run(Config(gate=gate, load=load), plan)
    with pytest.raises(ResultsError, match=r"could not be compared with baseline main(.|\n)*rate"):
        check_run(Config(gate=gate, load=load.model_copy(update={"rate": 17.0})), plan)
    with pytest.raises(ResultsError, match=r"config\.data\.users"):
        check_run(Config(gate=gate, load=load, data=Data(users=17)), plan)


def test_benchmarks_whose_packages_are_missing(
    tmp_path: Path, plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--micro` without pytest-benchmark failed after the whole load run."""
    with pytest.raises(UsageError, match="There is no bench/"):
        check_run(Config(), plan, micro=True)
    (tmp_path / "bench").mkdir()
    (tmp_path / preflight.BENCHMARKS).touch()
    monkeypatch.setattr(preflight, "find_spec", lambda name: None if "pytest_" in name else name)
    with pytest.raises(UsageError, match="--micro needs pytest_benchmark"):
        check_run(Config(), plan, micro=True)


# --- interim analyses


class Judge:
    """An interim analysis with a set answer."""

    def __init__(self, answers: list[InterimVerdict | LoadtestsError | None]) -> None:
        self.answers = answers
        self.closed = False

    def answer(self) -> InterimVerdict | None:
        answer = self.answers.pop(0)
        if isinstance(answer, LoadtestsError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


def extensions(max_extension: float, judge: Judge | None) -> _Extensions:
    def start(*_: object) -> InterimJudge[InterimVerdict]:
        assert judge is not None, "an analysis was started"
        return cast("InterimJudge[InterimVerdict]", judge)

    config = Config(load=Load(run_time=10, warm_up=2), gate=Gate(max_extension=max_extension))
    return _Extensions(config, Path("run"), Screen(), start)


def at(duration_s: float) -> RunInfo:
    return RunInfo(
        id="run",
        scenario="cart",
        state="running",
        started_at="",
        warm_up_s=2.0,
        duration_s=duration_s,
    )


UNDECIDED = InterimVerdict("INCONCLUSIVE", None, "Undecided.", open=True)


def test_a_run_that_may_not_be_extended_ends_on_time() -> None:
    """A gate of 10 s took 45 s: it waited for an analysis whose answer could not matter."""
    decides = extensions(0.0, None)
    assert not decides.is_enough(at(9.9))
    assert decides.is_enough(at(10.0))


def test_the_last_analysis_is_that_of_the_finished_run() -> None:
    judge = Judge([UNDECIDED, UNDECIDED])
    decides = extensions(30.0, judge)
    assert not decides.is_enough(at(10.0))  # extended to 20
    assert not decides.is_enough(at(20.0))  # and to 40
    assert judge.answers == []
    assert decides.is_enough(at(40.0))


def test_the_load_goes_on_until_an_analysis_has_an_answer() -> None:
    judge = Judge([None, None, replace(UNDECIDED, open=False)])
    decides = extensions(30.0, judge)
    assert [decides.is_enough(at(10.0)) for _ in range(3)] == [False, False, True]
    assert judge.closed


def test_an_analysis_that_fails_ends_the_run_and_not_the_verb() -> None:
    """Twenty minutes of load were lost because a half-written file could not be read."""
    assert extensions(30.0, Judge([LoadtestsError("No.")])).is_enough(at(10.0))


def test_an_analysis_has_a_time_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a busy machine, an analysis of the lowest priority got no CPU."""
    monkeypatch.setattr(interim, "LONGEST_S", 0.0)
    monkeypatch.setattr("loadtests.cli.runs.interim.sys.executable", "/bin/true")
    judge = interim.judge_so_far(tmp_path, Config(), TailProbability(0.05))
    judge._process.wait()
    monkeypatch.setattr(judge._process, "poll", lambda: None)
    with pytest.raises(LoadtestsError, match="within 0 s"):
        judge.answer()
    judge.close()


# --- a Locust that hangs, and a user who stops it


class Locust:
    """A child that runs until it is asked to finish; `pause` is where time goes by."""

    def __init__(self) -> None:
        self.finished = False
        self.ended_by: type[BaseException] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.ended_by = kind

    def running(self) -> bool:
        return True

    def finish(self) -> None:
        self.finished = True

    def end_of_output(self) -> str:
        return "Its last output: waiting for workers"


def run_of(locust: Locust, pause: Callable[[float], None]) -> LocustRun:
    children = Children(load=lambda *_: locust, pause=pause)
    return LocustRun(
        Config(),
        Endpoints(),
        LoadPlan(scenarios=("cart.py",)),
        screen=Screen(),
        children=children,
    )


def test_a_locust_that_never_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCUST_EXPECT_WORKERS in the environment: it waited for workers for ever."""
    monkeypatch.setattr(locust_run, "STARTING_S", -1.0)
    run = run_of(Locust(), lambda _: None)
    with pytest.raises(LoadtestsError, match="not begun anything") as caught:
        run.follow(lambda _: False)
    assert "waiting for workers" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_measurement(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after ten minutes of load: `Interrupted.`, and no verdict."""
    locust = Locust()
    asked = 0

    def pause(_: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            write_gate_run(run.path, seconds=3)
        if asked == 2:
            signal.raise_signal(number)

    run = run_of(locust, pause)
    assert run.follow(lambda _: False) == run.path
    assert run.interrupted
    assert locust.finished
    assert locust.ended_by is None
    assert "what was measured is judged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_before_anything_was_measured_ends_the_verb(
    number: signal.Signals, error: type[BaseException]
) -> None:
    locust = Locust()
    run = run_of(locust, lambda _: signal.raise_signal(number))
    with pytest.raises(error):
        run.follow(lambda _: False)
    assert locust.ended_by is error


def test_the_second_signal_ends_the_verb() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """`nohup loadtests gate &`: a Ctrl-C in the same terminal is for another program."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            signal.raise_signal(signal.SIGINT)
        assert stop.signal is None
    finally:
        signal.signal(signal.SIGINT, before)
