"""Kind 6: Locust's own settings and options.

What means nothing for open-loop users is refused in one sentence, or works. The gate follows none
of Locust's settings. Each test is a situation: what the user had, and what happened before.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import gevent
import locust
import pytest
from greenlet import GreenletExit
from locust import LoadTestShape, User, argument_parser, task
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import WorkerNode
from locust.stats import RequestStats

from loadtests.cli.runs.locust_process import LoadPlan, locust_command
from loadtests.config import Config, Load
from loadtests.errors import EXIT_ERROR, LoadtestsError, TargetError, UsageError
from loadtests.load import plugin
from loadtests.load.locust import locust_stats, verb_child
from loadtests.load.locust.checks import check_users
from loadtests.load.locust.cluster import (
    ClusterMaster,
    ClusterPlan,
    ClusterWorker,
    FixedDispatcher,
    scenario_of,
    versions,
)
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.locust_options import (
    REFUSED,
    check_environment,
    check_options,
    check_when_parsed,
)
from loadtests.load.locust.locust_stats import copy_to_locust
from loadtests.load.locust.session import LoadSession
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.measure.messages import LocustEntry
from loadtests.targets.endpoints import Endpoints

ROOT: Final = Path(__file__).resolve().parents[2]


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


class SessionUser(OpenLoopUser):
    @access_pattern("session.get", share=1)
    def get(self) -> None: ...


class Foreign(User):
    @task
    def nothing(self) -> None: ...


class Waves(LoadTestShape):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def tick(self) -> None: ...


def parsed(*arguments: str, files: tuple[str, ...] = ()) -> Namespace:
    """Options as a scenario's Locust parses them, with our check at the end."""
    parser = argument_parser.get_empty_argument_parser(default_config_files=files)
    argument_parser.setup_parser_arguments(parser)
    check_when_parsed(parser)
    options: Namespace = parser.parse_args(list(arguments))
    return options


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("LOCUST_", "LOADTESTS_"))]:
        monkeypatch.delenv(name)


# --- options


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--tags slow", "--tags means nothing for open-loop users"),
        ("-T slow fast", "--tags means nothing"),
        ("--exclude-tags slow", "--exclude-tags means nothing"),
        ("--class-picker", "--class-picker means nothing"),
        ("--equal-weights", "--equal-weights means nothing"),
        ("--enable-rebalancing", "--enable-rebalancing means nothing"),
        ("--host https://shop.example", "they call no web site"),
        ("--otel", "--otel means nothing"),
        ("--processes -2", "--processes is -2."),
        ("--processes 2 --master", "exclude each other"),
        ("--master --worker", "exclude each other"),
        ("--autoquit 3", "no meaning without --autostart"),
        ("--web-base-path x", "does not start with a slash"),
        ("--run-time 0", "--run-time is 0."),
        ("--exit-code-on-error 0", "--exit-code-on-error has no effect"),
        ("NoSuchUser", "no user class NoSuchUser"),
    ],
)
def test_an_option_without_a_meaning_is_one_sentence(
    flags: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--tags` gave 59,254 stack traces and 43 MB of log; others ended with 1, which is FAIL."""
    with pytest.raises(SystemExit) as caught:
        parsed(*flags.split())
    assert caught.value.code == EXIT_ERROR
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    assert sentence in message
    assert "Hint: " in message


def test_a_user_config_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """--config-users replaces the tasks of a user, which are its arrivals."""
    with pytest.raises(SystemExit):
        parsed("--config-users", '{"user_class_name": "CartUser", "tasks": []}')
    assert "--config-users means nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        "--reset-stats --stop-timeout 5 --loglevel DEBUG --skip-log-setup",
        "--csv figures --csv-full-history --html report.html --json",
        "--spawn-rate 50 --users 100 --run-time 60s --headless",
        "--autostart --autoquit 3 --web-base-path /load",
        "--expect-workers 3 --expect-workers-max-wait 20",
        "CartUser",
    ],
)
def test_other_options_are_locusts_own(flags: str) -> None:
    assert parsed(*flags.split())


def test_the_source_of_a_refused_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It came from a variable or a file that the user had forgotten."""
    file = tmp_path / "locust.conf"
    file.write_text("tags = [slow]\n")
    with pytest.raises(SystemExit):
        parsed(files=(str(file),))
    assert f"Error: tags in {file} means nothing" in capsys.readouterr().err
    file.write_text("users = 5\n")
    assert parsed(files=(str(file),)).num_users == 5
    monkeypatch.setenv("LOCUST_HOST", "https://shop.example")
    with pytest.raises(SystemExit):
        parsed()
    assert "Error: The variable LOCUST_HOST means nothing" in capsys.readouterr().err


def test_every_refused_option_is_one_of_locusts() -> None:
    parser = argument_parser.get_empty_argument_parser(default_config_files=())
    argument_parser.setup_parser_arguments(parser)
    assert set(REFUSED) <= {action.dest for action in parser._actions}


@pytest.mark.parametrize(
    ("users", "spawn_rate_per_s", "run_time_s", "sentence"),
    [
        (0, 100.0, 60.0, "--users 0 is too few: 2"),
        (-5, 100.0, 60.0, "--users -5 is too few"),
        (1, 100.0, 60.0, "--users 1 is too few"),
        (100, 1.0, 60.0, "takes 100 s"),
        (100, 2.0, 60.0, "nothing of the run is left to measure"),
        (100, 0.0, None, "starts no user"),
    ],
)
def test_users_that_make_no_run(
    users: int, spawn_rate_per_s: float, run_time_s: float | None, sentence: str
) -> None:
    """--users 0 waited; --spawn-rate 1 spent the whole run on starting users."""
    with pytest.raises(UsageError, match=sentence):
        check_users(
            Config(), users=users, spawn_rate_per_s=spawn_rate_per_s, run_time_s=run_time_s,
            dispatchers=2,
        )  # fmt: skip


def test_users_that_are_there_in_time_are_fine() -> None:
    for run_time_s in (None, 60.0):
        check_users(
            Config(), users=100, spawn_rate_per_s=10.0, run_time_s=run_time_s, dispatchers=2
        )
    at_once = Config(load=Load(warm_up=0.0))
    check_users(at_once, users=2, spawn_rate_per_s=100.0, run_time_s=1.0, dispatchers=2)


# --- beside our users


def test_a_load_shape_is_refused() -> None:
    """LoadTestShape changes the number of users; the load did not follow, and nothing said so."""
    environment = Environment(user_classes=[CartUser], shape_class=Waves())
    with pytest.raises(UsageError, match="Waves changes the number of users") as caught:
        check_environment(environment)
    assert "profile()" in caught.value.hint


def test_foreign_users_beside_ours_are_refused() -> None:
    environment = Environment(user_classes=[CartUser, Foreign])
    with pytest.raises(UsageError, match="mixes open-loop users with others"):
        plugin._on_init(environment, environment.create_local_runner())


def test_tags_of_a_library_environment_are_refused() -> None:
    with pytest.raises(UsageError, match="Tags mean nothing"):
        check_environment(Environment(user_classes=[CartUser], tags=["slow"]))


def test_a_locustfile_without_our_users_is_left_alone() -> None:
    environment = Environment(user_classes=[Foreign], shape_class=Waves())
    plugin._on_init(environment, environment.create_local_runner())
    assert not environment.events.test_start._handlers


# --- Locust as a library


def test_locust_as_a_library_without_the_plugin_says_what_is_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`Environment(user_classes=[CartUser])`: a stack trace for each user, and no load."""
    with pytest.raises(SystemExit) as caught:
        CartUser(Environment(user_classes=[CartUser]))
    assert caught.value.code == EXIT_ERROR
    assert "events=locust.events" in capsys.readouterr().err


def test_locust_as_a_library_works(tmp_path: Path) -> None:
    """A program of the team's own starts the load, as Locust's documentation shows it."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import gevent, locust
        from locust.env import Environment
        import cart
        from loadtests.calibrate.server.scripts import SCRIPTS
        from loadtests.calibrate.server.start import ScriptedServer
        import os
        with ScriptedServer(SCRIPTS["constant"]) as server:
            os.environ["LOADTESTS_DYNAMODB_ENDPOINT"] = server.url
            environment = Environment(user_classes=[cart.CartUser], events=locust.events)
            runner = environment.create_local_runner()
            environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
            environment.parsed_options.no_report = True
            runner.start(16, spawn_rate=100)
            gevent.spawn_later(2, runner.quit)
            runner.greenlet.join()
        print("calls", environment.stats.num_requests, environment.process_exit_code)
    """)
    )
    (tmp_path / "loadtests.toml").write_text(
        '[load]\nbackend = "dynamodb"\nrate = 50\nwarm_up = 0\n[data]\nusers = 20\nbooks = 20\n'
    )
    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scenarios'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    calls, code = ended.stdout.split()[-2:]
    assert int(calls) > 20, ended.stderr
    assert code == "0"


# --- the gate follows none of Locust's settings


def test_a_verbs_locust_reads_no_settings_of_locusts(tmp_path: Path) -> None:
    """locust.conf, pyproject.toml and LOCUST_… changed users, processes or tags of the gate."""
    (tmp_path / "locust.conf").write_text("users = 3\nheadless = false\nmaster = true\n")
    (tmp_path / ".locust.conf").write_text("tags = slow\n")
    (tmp_path / "pyproject.toml").write_text("[tool.locust]\nprocesses = 4\nrun-time = '1s'\n")
    (tmp_path / "show.py").write_text(
        textwrap.dedent("""
        from locust import User, events, task
        class Nobody(User):
            @task
            def nothing(self): ...
        @events.init.add_listener
        def show(environment, **_):
            o = environment.parsed_options
            print("GOT", o.num_users, o.headless, o.master, o.tags, o.processes, o.run_time, o.host)
            raise SystemExit(7)
    """)
    )
    variables = {
        "LOCUST_USERS": "9", "LOCUST_TAGS": "x", "LOCUST_MODE_MASTER": "true",
        "LOCUST_EXPECT_WORKERS": "5", "LOCUST_HOST": "http://x", "LOCUST_RUN_TIME": "1h",
        "LOCUST_AUTOSTART": "true", "LOCUST_SKIP_MONKEY_PATCH": "1", "HOME": str(tmp_path),
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", verb_child.MODULE, "-f", "show.py", "--headless"],
        cwd=tmp_path,
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "GOT None True False None None None None" in ended.stdout, ended.stderr
    assert ended.returncode == 7


def test_verbs_start_locust_that_way() -> None:
    plan = LoadPlan(scenarios=("scenarios/cart.py",), processes=2)
    command = locust_command(Config(), plan)
    assert command[1:4] == ["-P", "-m", verb_child.MODULE]


# --- clusters


def test_forked_workers_get_a_port_of_their_own() -> None:
    """`gate --processes 2` while another cluster used port 5557."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy = other.getsockname()[1]
        options = parsed("--processes", "2", "--master-bind-host", "127.0.0.1")
        assert options.master_bind_port == options.master_port
        assert options.master_bind_port not in {5557, busy}
        with pytest.raises(SystemExit) as caught:
            parsed("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(busy))
        assert caught.value.code == EXIT_ERROR


def test_one_process_needs_no_port() -> None:
    options = parsed()
    check_options(options, {})
    assert options.master_bind_port == 5557


class Runner:
    """What a master needs of Locust's runner; keeps what is sent."""

    def __init__(self, *clients: str) -> None:
        self.listeners: dict[str, Any] = {}
        self.sent: list[tuple[str, Any, str | None]] = []
        ready = [WorkerNode(client) for client in clients]
        self.clients = SimpleNamespace(ready=ready, running=[], spawning=[], missing=[], all=ready)
        self.client_id = "a"

    def register_message(self, name: str, listener: Any, concurrent: bool = False) -> None:
        self.listeners[name] = listener

    def send_message(self, name: str, data: Any = None, client_id: str | None = None) -> None:
        self.sent.append((name, data, client_id))


def controller_of(*classes: type[OpenLoopUser]) -> Any:
    """What the parts of a cluster need of a controller."""
    environment = Environment(user_classes=list(classes))
    return SimpleNamespace(
        environment=environment, user_classes=list(classes), session=LoadSession(environment),
        open_folder=lambda *_: None, forward=lambda *_: None, report_fault=lambda fault: None,
        on_interval=None, on_fault=None,
    )  # fmt: skip


def answer_of(worker: type[OpenLoopUser], plan: ClusterPlan) -> str:
    """What a worker with this scenario answers to a plan."""
    runner: Any = Runner()
    ClusterWorker(controller_of(worker), runner)
    runner.listeners["loadtests_plan"](msg=Message("loadtests_plan", plan.message(), "a"))
    name, data, _ = runner.sent[-1]
    assert name == "loadtests_answer"
    return str(data["problem"])


def a_plan(**changes: Any) -> ClusterPlan:
    given: dict[str, Any] = {
        "config": Config(), "endpoints": Endpoints(), "workers": {"a": "worker 1"},
        "scenario": scenario_of([CartUser]), "versions": versions(),
    }  # fmt: skip
    return ClusterPlan(**given | changes)


def test_a_worker_that_fits_takes_part() -> None:
    assert answer_of(CartUser, a_plan()) == ""


def test_a_worker_of_another_version_or_scenario_does_not_take_part() -> None:
    """It made other calls than the master's, or none, and the run was valid."""
    assert "loadtests 0.0.1" in answer_of(CartUser, a_plan(versions="loadtests 0.0.1, Locust 2"))
    assert "the worker's SessionUser" in answer_of(SessionUser, a_plan())
    assert locust.__version__ in versions()

    class Changed(OpenLoopUser):
        @access_pattern("cart.get", share=2)
        def get(self) -> None: ...

    Changed.__name__ = "CartUser"
    assert "or their shares differ" in answer_of(Changed, a_plan())


def test_a_master_refuses_a_run_with_such_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    runner: Any = Runner("a")
    controller = controller_of(CartUser)
    controller.open_folder = lambda *_: pytest.fail("the run began")
    master = ClusterMaster(controller, runner)
    answer = Message("loadtests_answer", {"problem": "the master runs version 1."}, "a")
    gevent.spawn_later(0, runner.listeners["loadtests_answer"], msg=answer)
    with pytest.raises(GreenletExit):
        master.plan(Config(), Endpoints(), ["a"])
    assert controller.environment.process_exit_code == EXIT_ERROR
    message = capsys.readouterr().err
    assert message.startswith("Error: worker 1 cannot take part: the master runs version 1.\n")
    assert message.count("Error: ") == 1


def test_a_worker_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker without the plugin: the run began, and its share of the load was never made."""
    monkeypatch.setattr("loadtests.load.locust.cluster.ANSWER_S", 0.01)
    runner: Any = Runner("a", "b")
    controller = controller_of(CartUser)
    master = ClusterMaster(controller, runner)
    with pytest.raises(GreenletExit):
        master.plan(Config(), Endpoints(), ["a", "b"])
    assert controller.environment.process_exit_code == EXIT_ERROR
    assert "Error: worker 1 did not answer" in capsys.readouterr().err
    assert [client for name, _, client in runner.sent if name == "loadtests_plan"] == ["a", "b"]


def test_a_plan_begins_when_all_have_answered() -> None:
    runner: Any = Runner("a", "b")
    controller = controller_of(CartUser)
    opened: list[list[str]] = []
    controller.open_folder = lambda config, endpoints, workers: opened.append(workers)
    master = ClusterMaster(controller, runner)
    for client in ("b", "a"):
        gevent.spawn_later(
            0, runner.listeners["loadtests_answer"],
            msg=Message("loadtests_answer", {"problem": ""}, client),
        )  # fmt: skip
    master.plan(Config(), Endpoints(), ["a", "b"])
    assert opened == [["worker 1", "worker 2"]]
    master._waiting.clear()


def test_a_worker_that_joins_during_a_run_gets_no_users() -> None:
    """Locust gave it half of the users; it made no call, and the run was valid."""
    first, late = WorkerNode("a"), WorkerNode("late")
    spread: dict[type[UsersDispatcher], list[dict[str, int]]] = {}
    for kind in (UsersDispatcher, FixedDispatcher):
        dispatcher = kind(worker_nodes=[first], user_classes=[CartUser])
        dispatcher.new_dispatch(target_user_count=8, spawn_rate=100)
        steps = list(dispatcher)
        dispatcher.add_worker(late)
        dispatcher.new_dispatch(target_user_count=8, spawn_rate=100)
        steps += list(dispatcher)
        spread[kind] = [
            {client: counts["CartUser"] for client, counts in step.items()} for step in steps
        ]
    assert {"a": 4, "late": 4} in spread[UsersDispatcher], "Locust itself moves users"
    assert all(step == {"a": 8} for step in spread[FixedDispatcher])


def test_the_users_of_a_lost_worker_are_not_moved() -> None:
    nodes = [WorkerNode("a"), WorkerNode("b")]
    dispatcher = FixedDispatcher(worker_nodes=nodes, user_classes=[CartUser])
    dispatcher.new_dispatch(target_user_count=8, spawn_rate=100)
    list(dispatcher)
    dispatcher.remove_worker(nodes[1])
    dispatcher.new_dispatch(target_user_count=8, spawn_rate=100)
    assert all(step["a"]["CartUser"] == 4 for step in dispatcher)


def test_the_master_sets_that_dispatcher() -> None:
    controller, runner = controller_of(CartUser), Runner()
    ClusterMaster(controller, runner)  # type: ignore[arg-type]
    assert controller.environment.dispatcher_class is FixedDispatcher


def test_a_master_without_workers_waits_with_a_bound() -> None:
    """It waited for ever (--expect-workers-max-wait is 0), or ended with 1."""
    runner: Any = Runner("a")
    master = ClusterMaster(controller_of(CartUser), runner)
    with pytest.raises(TargetError, match="1 of 3 workers connected within 0 s"):
        master.await_workers(3, 0)
    master.await_workers(1, 0)


def test_an_error_of_a_worker_ends_the_master_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker's factory failed: the master reported a lost worker, and not why."""
    worker_runner, master_runner = Runner(), Runner("a")
    worker_controller, master_controller = controller_of(CartUser), controller_of(CartUser)
    ClusterWorker(worker_controller, worker_runner)  # type: ignore[arg-type]
    ClusterMaster(master_controller, master_runner)  # type: ignore[arg-type]
    worker_controller.session.abort(UsageError("The factory failed.", hint="Look at it."))
    name, data, _ = worker_runner.sent[-1]
    capsys.readouterr()
    master_runner.listeners[name](msg=Message(name, data, "a"))
    assert master_controller.environment.process_exit_code == EXIT_ERROR
    assert capsys.readouterr().err == "Error: a: The factory failed.\nHint: Look at it.\n"


@pytest.mark.parametrize(
    ("message", "data"),
    [("loadtests_plan", None), ("loadtests_plan", {"versions": versions()})],
)
def test_an_error_in_a_listener_of_messages_ends_with_2(
    message: str, data: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Locust logs what a listener of messages raises, and goes on without load."""
    runner: Any = Runner()
    controller = controller_of(CartUser)
    worker = ClusterWorker(controller, runner)
    del controller.user_classes
    with pytest.raises(SystemExit) as caught:
        runner.listeners[message](msg=Message(message, data or {"versions": versions()}, "a"))
    assert caught.value.code == EXIT_ERROR
    assert "Error: Internal error: AttributeError" in capsys.readouterr().err
    with pytest.raises(LoadtestsError, match="joined after the run was planned"):
        worker.start()


# --- figures


def test_charts_of_percentiles_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust's charts of percentiles fell to 0 after 16 s."""
    now = [1_000.0]
    clock = SimpleNamespace(time=lambda: now[0])
    monkeypatch.setattr(locust_stats, "time", clock)
    monkeypatch.setattr("locust.stats.time", clock)
    stats = RequestStats()
    seen = []
    for _ in range(40):
        copy_to_locust(
            stats,
            [
                LocustEntry(
                    pattern="cart.get", backend="dynamodb", count=10, total_ms=30.0, min_ms=3.0,
                    max_ms=3.0, response_times=[[3, 10]], errors={},
                )
            ],
        )  # fmt: skip
        seen.append(stats.total.get_current_response_time_percentile(0.95))
        now[0] += 1.0
    assert set(seen[2:]) == {3}


def test_a_scribe_that_dies_ends_the_run_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The run went on to its end, with nobody to write it."""
    controller = RunController(LoadSession(Environment()), "cart")
    controller._on_line("lost", b"")
    assert controller.environment.process_exit_code == EXIT_ERROR
    assert "nothing more can be recorded" in capsys.readouterr().err
