"""Kind 7: the web UI is a control panel for load; only its owner may use it.

Each test is a situation: what the user had, what another page or program sent, what happened.
Locust's own web UI answers, in this process, without a server.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import gevent
import pytest
from flask.testing import FlaskClient
from locust import argument_parser
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, STATE_STOPPED

from loadtests.config import Slo
from loadtests.errors import EXIT_ERROR, UsageError
from loadtests.load.locust.controller import RunController
from loadtests.load.locust.faults import FaultWatch
from loadtests.load.locust.locust_options import check_port, free_port
from loadtests.load.locust.options import add_arguments, config_of
from loadtests.load.locust.session import open_session
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.locust.web.guard import AllowedHosts, RunForm, guard_web_ui
from loadtests.load.locust.web.live import add_live_view, live_data
from loadtests.load.plugin import OwnerRole
from loadtests.targets.endpoints import Endpoints

HOST: Final = "127.0.0.1:8089"
FORM: Final = {"user_count": "20", "spawn_rate": "100", "rate": "70"}
SHOWN: Final = ("backend", "driver", "rate", "arrivals", "warm_up", "seed")
STATE_CHANGES: Final = ("/swarm", "/stop", "/stats/reset", "/user")
READING: Final = ("/", "/stats/requests", "/logs", "/loadtests/live.json", "/loadtests/live")
FORBIDDEN, WRONG_METHOD, OK = 403, 405, 200


class CartUser(OpenLoopUser):
    @access_pattern("cart.get", share=1)
    def get(self) -> None: ...


def check(wanted: Namespace) -> None:
    config_of(wanted)


class Panel:
    """A Locust web UI with what starts load recorded instead of done."""

    def __init__(
        self, web_host: str = "127.0.0.1", base: str = "", allowed: str = "", *, bare: bool = False
    ) -> None:
        parser = argument_parser.get_empty_argument_parser(default_config_files=())
        argument_parser.setup_parser_arguments(parser)
        add_arguments(parser)
        self.options: Namespace = parser.parse_args([])
        self.started: list[tuple[int, float]] = []
        self.preparing = ""
        environment = Environment(user_classes=[CartUser], parsed_options=self.options)
        self.runner = cast("Any", environment.create_local_runner())
        self.runner.start = lambda users, rate: self.started.append((users, rate))
        self.runner.stop = lambda: None
        self.ui = cast(
            "Any", environment.create_web_ui(web_host, 0, web_base_path=base, delayed_start=True)
        )
        if bare:
            return
        form = RunForm(
            self.options,
            check,
            is_running=lambda: self.runner.state in {STATE_RUNNING, STATE_SPAWNING},
            is_preparing=lambda: bool(self.preparing),
            shown=lambda: SHOWN,
        )
        guard_web_ui(self.ui, AllowedHosts.of(web_host, allowed), form)
        controller: Any = SimpleNamespace(
            session=SimpleNamespace(refusal=None), preparing="", is_rehearsing=False, live=None,
            faults=FaultWatch(), path=None, last_path=None, environment=environment,
            described_classes=[],
        )  # fmt: skip
        self.controller = controller
        add_live_view(self.ui, controller, Slo())
        self.client: FlaskClient = self.ui.app.test_client()

    def post(self, path: str = "/swarm", form: object = None, **headers: str) -> Any:
        sent = {"Host": HOST} | {name.replace("_", "-"): text for name, text in headers.items()}
        data = FORM if form is None else form
        answer = self.client.post(path, data=data, headers=sent)
        self.runner.greenlet.join(timeout=0)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        sent = {"Host": HOST} | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.get(path, headers=sent)

    def settings(self) -> dict[str, Any]:
        return copy.copy(vars(self.options))


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["locust"])
    monkeypatch.delenv("LOADTESTS_CONFIG", raising=False)


@pytest.fixture
def panel() -> Panel:
    return Panel()


def started(panel: Panel) -> bool:
    """Whether Locust was asked to start; its greenlet runs when this one waits."""
    greenlet = panel.ui._swarm_greenlet
    if greenlet is not None:
        greenlet.join()
    return bool(panel.started)


def test_a_form_on_another_site_starts_nothing_and_changes_nothing(panel: Panel) -> None:
    """A web page posts `allow_remote`, endpoints and results folder to 127.0.0.1:8089.

    The run went to an address that is not loopback, and its results to a folder of the page's.
    """
    before = panel.settings()
    hostile = {
        **FORM, "allow_remote": "true", "dynamodb_endpoint": "http://192.0.2.1:8000",
        "postgres_dsn": "host=192.0.2.1", "results": "/tmp/theirs",
    }  # fmt: skip
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Referer": "http://evil.example/page"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example:8089"},
        {"Host": "evil.example:8089", "Origin": "http://evil.example:8089"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.0.2.7:8089"},
        {"Host": ""},
    ):
        answer = panel.post(form=hostile, **headers)
        assert answer.status_code == FORBIDDEN, headers
    assert panel.settings() == before
    assert not started(panel)


@pytest.mark.parametrize("path", STATE_CHANGES)
def test_every_route_that_changes_something_is_guarded(panel: Panel, path: str) -> None:
    """Stopping a run, resetting its figures and changing its users are not for other sites."""
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert panel.post(path, **headers).status_code == FORBIDDEN
    assert panel.get(path).status_code == WRONG_METHOD, "GET changes nothing"


def test_no_route_of_locust_that_takes_more_than_get_is_unknown(panel: Panel) -> None:
    """A Locust with a new route that changes something fails here."""
    taking = {
        rule.rule
        for rule in panel.ui.app.url_map.iter_rules()
        if rule.methods - {"GET", "HEAD", "OPTIONS"}
    }
    assert taking == set(STATE_CHANGES)


@pytest.mark.parametrize("path", READING)
def test_what_is_shown_is_not_for_other_sites(panel: Panel, path: str) -> None:
    """A page reads logs and figures with fetch() (Locust allows every origin), or frames them."""
    assert panel.get(path).status_code == OK
    for headers in (
        {"Host": "rebound.example:8089"},
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ):
        assert panel.get(path, **headers).status_code == FORBIDDEN, headers
    link = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    }
    followed = panel.get(path, **link)
    assert followed.status_code == OK
    assert followed.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8089"},
        {"Host": "[::1]:8089"},
        {"Host": "localhost:9000", "Origin": "http://localhost:9000"},
        {"Origin": f"http://{HOST}", "Referer": f"http://{HOST}/", "Sec_Fetch_Site": "same-origin"},
    ],
    ids=["curl", "name", "IPv6", "ssh tunnel", "browser"],
)
def test_its_owner_starts_a_run(panel: Panel, headers: dict[str, str]) -> None:
    answer = panel.post(**headers)
    assert answer.get_json()["success"], answer.get_json()
    assert started(panel)
    assert panel.options.rate == 70.0


@pytest.mark.parametrize(
    "name",
    ["allow_remote", "dynamodb_endpoint", "postgres_dsn", "results", "region", "no_provision",
     "no_report", "allowed_hosts", "tags", "logfile", "html_file", "user_classes", "shape_class",
     "headless", "processes"],
)  # fmt: skip
def test_only_what_the_form_shows_may_change(panel: Panel, name: str) -> None:
    """The owner's own browser, or curl, sends a setting that the form does not show."""
    before = panel.settings()
    answer = panel.post(form={**FORM, name: "true"}).get_json()
    assert answer["success"] is False
    assert name.replace("_", "-") in answer["message"]
    assert panel.settings() == before
    assert not started(panel)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rate": "fast"}, "rate is 'fast', which is not a number."),
        ({"rate": "-1"}, "rate: input should be greater than 0"),
        ({"backend": "mysql"}, "backend"),
        ({"host": "http://shop.example"}, "A host means nothing for these users."),
        ({"run_time": "soon"}, "The run time 'soon' is not a time."),
        ({"run_time": "5s", "warm_up": "10"}, "ends within the warm-up"),
        ({"user_count": "many"}, "user_count is 'many', which is not a number."),
    ],
)
def test_a_mistake_in_the_form_changes_nothing(
    panel: Panel, change: dict[str, str], sentence: str
) -> None:
    """Locust took the fields one by one: those before the mistake had changed."""
    before = panel.settings()
    answer = panel.post(form={**FORM, **change}).get_json()
    assert answer["success"] is False
    assert sentence in answer["message"]
    assert panel.settings() == before
    assert not started(panel)


def test_settings_of_a_run_in_progress_stay(panel: Panel) -> None:
    """Locust's "Edit" posts to the same address: a new rate was stored, and never came true."""
    panel.runner.state = STATE_RUNNING
    answer = panel.post().get_json()
    assert answer["success"] is False
    assert "--rate cannot change during it" in answer["message"]
    assert panel.post(form={"user_count": "30", "spawn_rate": "5"}).get_json()["success"]


def test_a_second_start_while_the_first_is_prepared_is_refused(panel: Panel) -> None:
    panel.preparing = "Seeding DynamoDB"
    assert "being prepared" in panel.post().get_json()["message"]


def test_an_empty_run_time_is_none_and_not_the_last_one(panel: Panel) -> None:
    panel.options.run_time = 60
    assert panel.post(form={**FORM, "run_time": ""}).get_json()["success"]
    assert panel.options.run_time is None


def test_a_user_is_not_changed_over_http(panel: Panel) -> None:
    """`/user` sets any attribute of a user class."""
    answer = panel.client.post(
        "/user", json={"user_class_name": "CartUser", "weight": 9}, headers={"Host": HOST}
    )
    assert answer.status_code == FORBIDDEN
    assert CartUser.weight == 1


def test_a_proxy_is_allowed_by_its_name() -> None:
    """The web UI stands behind https://load.example, which keeps or replaces the Host."""
    panel = Panel(allowed="load.example, other.example")
    for headers in (
        {"Host": "load.example", "Origin": "https://load.example"},
        {"Host": HOST, "Origin": "https://load.example", "Sec_Fetch_Site": "same-origin"},
    ):
        assert panel.post(**headers).status_code == OK
    refused = panel.post(Host="evil.example")
    assert "--allowed-hosts" in refused.get_data(as_text=True)


def test_all_interfaces_means_this_machines_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """--web-host 0.0.0.0: the machine's addresses and name, and no name that resolves to them."""
    monkeypatch.setattr("socket.gethostname", lambda: "runner-7")
    monkeypatch.setattr(
        "psutil.net_if_addrs",
        lambda: {"eth0": [SimpleNamespace(family=2, address="10.1.2.3")]},
    )
    for web_host in ("0.0.0.0", "*", "", "::"):
        hosts = AllowedHosts.of(web_host, "")
        assert all(map(hosts.allow, ("10.1.2.3:8089", "runner-7:8089", "RUNNER-7", "localhost")))
        assert not any(map(hosts.allow, ("10.1.2.4:8089", "evil.example", "", "[", "10.1.2.3.x")))
    named = AllowedHosts.of("192.168.7.7", "")
    assert named.allow("192.168.7.7:8089")
    assert not named.allow("10.1.2.3:8089")


def test_a_base_path_has_the_tab_too() -> None:
    """--web-base-path /x: the tab's script was asked for at /loadtests/live.js, and missing."""
    panel = Panel(base="/x")
    page = panel.get("/x/").get_data(as_text=True)
    assert '"./loadtests/live.js"' in page
    for path in ("live.js", "live.css", "live", "live.json"):
        assert panel.get(f"/x/loadtests/{path}").status_code == OK
    assert panel.post("/x/swarm", Origin="http://evil.example").status_code == FORBIDDEN
    assert panel.post("/x/swarm", form={**FORM, "results": "y"}).get_json()["success"] is False


def test_a_live_view_that_fails_says_so(panel: Panel) -> None:
    del panel.controller.faults
    answer = panel.get("/loadtests/live.json")
    assert answer.status_code == 500
    assert "The live view failed: AttributeError" in answer.get_json()["problem"]


def test_a_port_in_use_is_a_sentence() -> None:
    """The web UI's port is in use: a stack trace, and the exit code came by chance."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1") as caught:
            check_port("127.0.0.1", other.getsockname()[1], "--web-port")
    assert "--web-port" in caught.value.hint
    check_port("127.0.0.1", free_port(), "--web-port")
    with pytest.raises(UsageError, match="cannot listen"):
        check_port("127.0.0.1", 70_000, "--web-port")


# --- starts


class Stages:
    """A Locust with a web UI whose databases are opened by the test; keeps what was seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panel = Panel(bare=True)
        self.seen: list[tuple[str, str, str]] = []
        self.fails = False
        options = self.panel.options
        options.num_users, options.spawn_rate, options.headless = 20, 100.0, False
        environment = self.panel.runner.environment
        self.controller = RunController(open_session(environment), "cart")
        monkeypatch.setattr(self.controller, "open_targets", self._open)
        monkeypatch.setattr(RunController, "open_folder", lambda *_: None)
        monkeypatch.setattr(RunController, "make_load", lambda *_: None)
        monkeypatch.setattr("loadtests.load.plugin.check_port", lambda *_: None)
        self.role = OwnerRole(self.controller, self.panel.runner, options, self.panel.ui)

    def _open(self, config: object, *, provision: bool) -> Endpoints:
        self.controller._show_step("Seeding DynamoDB, 25 of 1,205")
        view = live_data(self.controller, Slo())
        self.seen.append((self.panel.runner.state, view["state"], view["report"]))
        if self.fails:
            raise UsageError("The table is gone.", hint="Make it.")
        return Endpoints()

    def end_run(self, folder: Path) -> None:
        """A run has ended, and was judged."""
        (folder / "report.html").write_text("")
        self.controller.last_path = folder
        self.panel.runner.state = STATE_STOPPED


def test_a_second_start_keeps_stop_and_hides_the_old_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust's Stop was gone for the whole run; seeding took 10 to 28 s without a word, and the
    tab showed the verdict of the run before.
    """
    stages = Stages(monkeypatch)
    stages.end_run(tmp_path)
    assert live_data(stages.controller, Slo())["report"] == "report.html"
    stages.seen.clear()
    stages.role.on_start()
    state = "The run is being prepared: Seeding DynamoDB, 25 of 1,205."
    assert stages.seen == [(STATE_SPAWNING, state, "")]
    assert stages.controller.preparing == ""


def test_a_start_that_fails_shows_why_and_no_old_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Stages(monkeypatch)
    stages.end_run(tmp_path)
    stages.fails = True
    stages.role.on_start()
    view = live_data(stages.controller, Slo())
    assert view["state"] == "There is no result. The table is gone. Make it."
    assert (view["report"], view["verdict"]) == ("", None)
    assert stages.controller.preparing == ""


def test_the_first_start_rehearses_unless_its_time_runs_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Stages(monkeypatch).controller.may_rehearse
    original = Panel.__init__

    def with_autostart(panel: Panel, *, bare: bool) -> None:
        original(panel, bare=bare)
        panel.options.autostart, panel.options.run_time = True, 60

    monkeypatch.setattr(Panel, "__init__", with_autostart)
    assert not Stages(monkeypatch).controller.may_rehearse


def test_run_time_counts_from_the_first_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeding and rehearsing took 10 to 28 s of the run time that the form asked for."""
    stages = Stages(monkeypatch)
    stages.panel.options.run_time = 60
    ui = stages.role._web_ui
    ui._run_time_greenlet = first = gevent.spawn_later(60, ui._stop_runners)
    stages.role._restart_run_time()
    assert ui._run_time_greenlet is not first
    ui._cancel_run_time_timer()
    stages.role._restart_run_time()
    assert ui._run_time_greenlet is None, "a run without a time has no timer"


def test_a_run_without_one_call_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`locust --no-report` ended with 0 after no calls."""
    stages = Stages(monkeypatch)
    stages.panel.options.no_report = True
    stages.controller.path = tmp_path
    stages.role.on_stop()
    assert stages.controller.environment.process_exit_code == EXIT_ERROR
    assert "Error: The run made no call." in capsys.readouterr().err
