"""What the live view says, and its page on made-up runs in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import flask
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from werkzeug.serving import make_server

from loadtests.config import Slo
from loadtests.errors import UsageError
from loadtests.load.locust.faults import FaultWatch
from loadtests.load.locust.web.live import add_live_view, live_data
from loadtests.load.locust.web.live_figures import SeriesView, live_figures
from loadtests.measure.health.signals import Signal
from loadtests.measure.messages import LastSecond, LiveFigures, ProcessSecond
from loadtests.measure.results import SeriesInfo, Times
from tests.browser import axe, emulate, reach, until

HOSTILE = "<img src=x onerror=alert(1)>\u202e</script>"


def series(
    pattern: str = "cart.get",
    backend: str = "dynamodb",
    *,
    count: int = 1_000,
    errors: dict[str, int] | None = None,
    p50: float = 1.0,
    p99: float = 3.0,
) -> SeriesInfo:
    def times(factor: float) -> Times:
        shown = {"p50": p50, "p90": 2.0, "p99": p99, "p99.9": 4.0, "max": 5.0}
        return Times.model_validate({name: factor * ms for name, ms in shown.items()})

    return SeriesInfo(
        pattern=pattern,
        backend=backend,
        driver="wire",
        count=count,
        errors=errors or {},
        response_time_ms=times(1.0),
        service_time_ms=times(0.5),
    )


def signal(
    name: str = "dispatch delay p99",
    *,
    ok: bool = True,
    limit: float | None = 2.0,
    value: float = 0.123,
) -> Signal:
    return Signal(name, f"{name} was so.", value, "ms", limit, ok)


def last_second(pattern: str, backend: str) -> LastSecond:
    return LastSecond(
        pattern=pattern, backend=backend, rate_per_s=12.0, p50_ms=1.0, p99_ms=2.0, max_ms=3.21
    )


PROCESS = ProcessSecond(
    cpu=0.071,
    dispatch_delay_p99_ms=0.2,
    event_loop_delay_p99_ms=0.1,
    heartbeat_delay_max_ms=1.5,
    free_users_min=7,
    behind_ms=0.0,
)


def figures(
    *all_series: SeriesInfo,
    signals: Sequence[Signal] = (),
    processes: dict[str, ProcessSecond] | None = None,
    more_seconds: Sequence[LastSecond] = (),
) -> LiveFigures:
    return LiveFigures(
        index=12,
        time_s=12.4,
        series=list(all_series),
        last_second=[
            *(last_second(each.pattern, each.backend) for each in all_series),
            *more_seconds,
        ],
        processes=processes or {"generator": PROCESS},
        signals=list(signals),
    )


def controller(
    live: LiveFigures | None = None,
    *,
    path: Path | None = None,
    last_path: Path | None = None,
    no_report: bool = False,
    refused: UsageError | None = None,
    preparing: str = "",
) -> Any:
    """What the live view needs of a `RunController`."""
    environment = SimpleNamespace(parsed_options=SimpleNamespace(no_report=no_report))
    return SimpleNamespace(
        session=SimpleNamespace(refusal=refused),
        preparing=preparing,
        is_rehearsing=False,
        described_classes=[],
        faults=FaultWatch(),
        live=live,
        path=path,
        last_path=last_path or path,
        environment=environment,
    )


def only_row(shown: SeriesInfo, slo: Slo | None = None) -> SeriesView:
    return live_figures(figures(shown), slo or Slo())["rows"][0]


@pytest.mark.parametrize(
    ("shown", "limits", "status", "detail"),
    [
        (series(p99=10.0), {}, "within", "p99 ≤ 10 ms"),
        (series(p99=10.001), {}, "over", "p99 > 10 ms"),
        (series(count=299, p99=9.0), {}, "within", "p99 ≤ 10 ms"),
        (series(count=298, p99=90.0), {}, "unknown", "p99 from 299 calls"),
        (series(errors={"Timeout": 2}), {}, "over", "errors > 0.1%"),
        (series(errors={"Timeout": 1}), {}, "within", "p99 ≤ 10 ms"),
        (series(p50=3.0, p99=11.0), {"p50_ms": 2.5}, "over", "p50 > 2.5 ms, p99 > 10 ms"),
        (series(p99=19.0), {"metric": "service_time"}, "within", "p99 ≤ 10 ms"),
        (series(), {"p99_ms": None, "error_rate": None}, "unknown", "no limit"),
        (series(), {"p99_ms": None}, "within", "errors ≤ 0.1%"),
    ],
)
def test_status_is_of_the_resolvable_figures(
    shown: SeriesInfo, limits: dict[str, Any], status: str, detail: str
) -> None:
    row = only_row(shown, Slo(**limits))
    assert (row["status"], row["detail"]) == (status, detail)


def test_a_percentile_with_too_few_calls_is_left_out() -> None:
    row = only_row(series(count=298))
    assert (row["p50_ms"], row["p90_ms"], row["p99_ms"]) == (1.0, 2.0, None)


def test_rows_stand_in_the_order_of_the_patterns_and_warm_up_has_rows_too() -> None:
    live = figures(
        series("session.get", "postgres"),
        series("cart.add"),
        series("cart.get"),
        more_seconds=[last_second("new", "dynamodb")],
    )
    rows = live_figures(live, Slo())["rows"]
    assert [row["pattern"] for row in rows] == ["cart.get", "cart.add", "session.get", "new"]
    assert (rows[-1]["count"], rows[-1]["p50_ms"], rows[-1]["status"]) == (0, None, "unknown")


def test_errors_are_named_the_commonest_first() -> None:
    live = figures(series(errors={"a": 1, "b": 30}), series(backend="postgres", errors={"c": 4}))
    assert live_figures(live, Slo())["errors"] == [
        "cart.get on DynamoDB: b, 30 times",
        "cart.get on PostgreSQL: c, 4 times",
        "cart.get on DynamoDB: a, 1 times",
    ]


def test_a_signal_beyond_its_limit_comes_first_and_says_what_it_means() -> None:
    signals = [signal("pressure", limit=None), signal("fine"), signal("late", ok=False, value=7.0)]
    health = live_figures(figures(series(), signals=signals), Slo())["health"]
    assert [view["name"] for view in health["signals"]] == ["late", "fine", "pressure"]
    assert [view["ok"] for view in health["signals"]] == [False, True, None]
    assert health["summary"].startswith("1 of 2 signals beyond")
    assert "INVALID" in health["summary"]
    assert health["signals"][0]["value"] == "7\u00a0ms"


def test_each_load_process_has_its_last_second() -> None:
    unknown = replace(
        PROCESS,
        dispatch_delay_p99_ms=None,
        event_loop_delay_p99_ms=None,
        heartbeat_delay_max_ms=None,
    )
    live = figures(series(), processes={"generator": PROCESS, "worker 2": unknown})
    first, second = live_figures(live, Slo())["processes"]
    assert (first["name"], first["cpu"], first["dispatch_delay"]) == ("generator", "7%", "0.200")
    assert (second["dispatch_delay"], second["event_loop_delay"], second["heartbeat_delay"]) == (
        "–",
        "–",
        "–",
    )


def test_the_state_follows_the_run(tmp_path: Path) -> None:
    def state(**what: Any) -> str:
        return live_data(controller(**what), Slo())["state"]

    live = figures(series())
    assert state().startswith("No run yet")
    assert state(path=tmp_path) == "The run is starting."
    assert state(path=tmp_path, live=figures()) == "Warming up: 12 s."
    assert state(path=tmp_path, live=live) == "Measuring: 12 s."
    assert state(last_path=tmp_path, live=live).endswith("It is being judged.")
    assert "--no-report" not in state(last_path=tmp_path, live=live)
    assert "It has no report" in state(last_path=tmp_path, live=live, no_report=True)
    (tmp_path / "report.html").write_text("")
    assert state(last_path=tmp_path, live=live) == "The run has ended after 12 s."
    slip = UsageError("The rate is -1.", hint="Ask for more.")
    assert state(refused=slip) == "There is no result. The rate is -1. Ask for more."


def test_a_report_is_linked_only_once_its_run_has_ended(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("an older one")
    assert live_data(controller(path=tmp_path), Slo())["report"] == ""
    assert live_data(controller(last_path=tmp_path), Slo())["report"] == "report.html"
    assert live_data(controller(last_path=tmp_path), Slo())["verdict"] is None  # no run.json


View = TypeVar("View", bound=Callable[..., Any])


class WebUi:
    """What `add_live_view` needs of Locust's."""

    def __init__(self) -> None:
        self.app = flask.Flask("locust")
        self.template_args: dict[str, Any] = {}

    def auth_required_if_enabled(self, view: View) -> View:
        return view


class LivePage(NamedTuple):
    """The address of the page, the controller that it shows, and the end of its server."""

    url: str
    controller: Any
    stop: Callable[[], None]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LivePage]:
    """The live page, of a controller whose figures the test sets."""
    live = controller()
    ui = WebUi()
    add_live_view(ui, live, Slo())
    server = make_server("127.0.0.1", 0, ui.app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/loadtests/live"
    yield LivePage(url=url, controller=live, stop=server.shutdown)
    server.shutdown()
    thread.join()
    server.server_close()


def text_of(browser: Chrome) -> str:
    return browser.find_element(By.ID, "loadtests-live").text


@pytest.mark.browser
def test_hostile_names_stay_text(browser: Chrome, page: LivePage, tmp_path: Path) -> None:
    bad = series(HOSTILE, HOSTILE, errors={HOSTILE: 40})
    page.controller.live = figures(
        bad, signals=[signal(HOSTILE, ok=False)], processes={HOSTILE: PROCESS}
    )
    folder = tmp_path / "a<b>c"
    folder.mkdir()
    (folder / "report.html").write_text("<!doctype html><title>report</title>")
    (folder / "run.json").write_text(json.dumps({
        "id": "x", "scenario": "x", "state": "complete", "started_at": "x",
        "verdict": {"status": HOSTILE, "sentence": HOSTILE},
    }))  # fmt: skip
    page.controller.last_path = folder
    emulate(browser, width=390)
    browser.get_log("browser")
    browser.get(page.url)
    until(lambda: HOSTILE in text_of(browser))
    assert text_of(browser).count(HOSTILE) >= 6
    assert not browser.find_elements(By.CSS_SELECTOR, "#loadtests-live img")
    assert browser.get_log("browser") == []
    content, window = reach(browser)
    assert content <= window


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
def test_every_kind_of_figure_has_contrast(
    browser: Chrome, page: LivePage, tmp_path: Path, dark: bool
) -> None:
    page.controller.last_path = tmp_path
    (tmp_path / "report.html").write_text("")
    page.controller.live = figures(
        series(), series("cart.add", count=3), series("cart.update", errors={"Timeout": 9}),
        signals=[signal(), signal("late", ok=False), signal("pressure", limit=None)],
    )  # fmt: skip
    emulate(browser, dark=dark)
    browser.get(page.url)
    until(lambda: "Open the report" in text_of(browser))
    assert axe(browser) == []


@pytest.mark.browser
def test_focus_and_scroll_outlive_a_second(browser: Chrome, page: LivePage) -> None:
    page.controller.live = figures(series(count=1_000))
    emulate(browser, width=390)
    browser.get(page.url)
    until(lambda: "1,000" in text_of(browser))
    browser.execute_script(
        "const r = document.querySelector('.scroll'); r.scrollLeft = 90; r.focus();"
    )
    page.controller.live = figures(series(count=2_000))
    until(lambda: "2,000" in text_of(browser))
    assert browser.execute_script("return document.querySelector('.scroll').scrollLeft;") == 90
    assert browser.switch_to.active_element.get_attribute("class") == "scroll"


@pytest.mark.browser
def test_a_locust_that_is_gone_is_noticed(browser: Chrome, page: LivePage) -> None:
    page.controller.live = figures(series())
    emulate(browser)
    browser.get(page.url)
    until(lambda: "cart.get" in text_of(browser))
    page.stop()
    until(lambda: "No answer from Locust since" in text_of(browser))
    assert "cart.get" in text_of(browser)


@pytest.mark.browser
def test_a_narrow_screen_shows_what_decides(browser: Chrome, page: LivePage) -> None:
    """Slow figures and long names: at 390 px, p99 and status were beyond the edge."""
    slow = series("session.store_summary", p50=12_345.678, p99=98_765.432)
    page.controller.live = figures(slow, series("cart.get_item", p99=9.9), series(count=10))
    emulate(browser, width=390)
    browser.get(page.url)
    until(lambda: "98765.432" in text_of(browser))
    titles, right = browser.execute_script(
        "const rows = [...document.querySelector('table').rows];"
        "return [[...rows[0].cells].map(c => c.innerText),"
        " rows.flatMap(r => [...r.cells].slice(0, 3).map(c => c.getBoundingClientRect().right))];"
    )
    assert titles[:3] == ["access pattern", "p99 ms", "so far"]
    assert max(right) <= 390
