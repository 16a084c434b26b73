"""The live tab while Locust really runs, on the real databases, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from loadtests.patterns import CART_PATTERNS
from loadtests.targets.endpoints import Endpoints
from tests.browser import axe, emulate, reach, until
from tests.known import known
from tests.live_ui import LocustUI, asked, figures, free_port, locust_ui, press, swarm

pytestmark = pytest.mark.browser

LABELS = {"dynamodb": "DynamoDB", "postgres": "PostgreSQL"}
BACKENDS = tuple(LABELS.values())
Start = Callable[..., LocustUI]
SCREENS = [(1280, False), (1280, True), (390, False), (390, True)]


@pytest.fixture
def start(tmp_path: Path, seeded: Endpoints) -> Iterator[Start]:
    """Starts Locust with its web UI; ends it with the test."""
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(
            locust_ui(tmp_path, *flags, "--warm-up", "1", "--rate", "100", endpoints=seeded)
        )


def tab_text(browser: Chrome) -> str:
    tabs = browser.find_elements(By.ID, "loadtests-tab")
    return tabs[0].text if tabs else ""


def calls(browser: Chrome) -> dict[tuple[str, str], int]:
    return {row: int(cells[5].replace(",", "")) for row, cells in figures(browser).items()}


def open_tab_of_a_running_test(browser: Chrome, locust: LocustUI) -> None:
    emulate(browser)
    browser.get_log("browser")
    browser.get(locust.url)
    press(browser, "start")
    press(browser, "cloudshelf")
    until(lambda: len(figures(browser)) == len(CART_PATTERNS) * len(BACKENDS))
    until(lambda: min(calls(browser).values()) > 0)


def figures_are_there_and_change(browser: Chrome) -> None:
    first = calls(browser)
    assert set(first) == {(pattern, backend) for pattern in CART_PATTERNS for backend in BACKENDS}
    until(lambda: all(later > first[row] for row, later in calls(browser).items()))
    until(lambda: all(re.fullmatch(r"\d+\.\d{3}", c[2]) for c in figures(browser).values()))
    # enough calls for a p99, in microseconds, and its status
    carried = ("cart.get", "PostgreSQL")
    until(lambda: re.fullmatch(r"\d+\.\d{3}", figures(browser)[carried][0]), 90)
    assert re.fullmatch(r"[✓✗] .*10 ms.*", figures(browser)[carried][1])


def test_the_tab_during_a_run_and_after_it(start: Start, browser: Chrome) -> None:
    locust = start()
    until(lambda: asked(locust, "loadtests/live.json"))
    open_tab_of_a_running_test(browser, locust)
    figures_are_there_and_change(browser)
    text = tab_text(browser)
    assert "Measuring" in text
    for signal_ in ("generator CPU", "late dispatches", "event-loop stalls"):
        assert signal_ in text
    assert "within" in text
    assert "round to whole milliseconds" in text

    for width, dark in SCREENS:
        emulate(browser, width=width, dark=dark)
        browser.get(f"{locust.url}?tab=cloudshelf")
        until(lambda: figures(browser))
        content, window = reach(browser)
        assert content <= window <= width
        assert axe(browser, "#loadtests-tab") == []
        ground = "return getComputedStyle(document.body).backgroundColor;"
        light = browser.execute_script(ground) == "rgb(255, 255, 255)"
        classes = browser.find_element(By.ID, "loadtests-tab").get_attribute("class")
        assert ("loadtests-dark" in known(classes)) != light

    # Locust's own tables say why they are coarser, and lead here
    emulate(browser)
    browser.get(locust.url)
    note = until(lambda: browser.find_elements(By.ID, "loadtests-note"))[0]
    assert "round to whole milliseconds" in note.text
    assert axe(browser, "#loadtests-note") == []
    assert not browser.find_elements(By.ID, "loadtests-tab")
    note.find_element(By.TAG_NAME, "a").click()
    until(lambda: figures(browser))

    # the page by itself is whole: landmarks too
    browser.get(f"{locust.url}loadtests/live")
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#loadtests-live tbody tr"))
    assert axe(browser) == []

    browser.get(f"{locust.url}?tab=cloudshelf")
    press(browser, "stop")
    until(lambda: browser.find_elements(By.LINK_TEXT, "Open the report"), 90)
    folder = asked(locust, "loadtests/live.json")["folder"]
    assert f"Run folder: {folder}" in tab_text(browser)
    verdict = json.loads(Path(folder, "run.json").read_text())["verdict"]
    assert verdict["sentence"] in tab_text(browser)
    assert axe(browser, "#loadtests-tab") == []
    browser.find_element(By.LINK_TEXT, "Open the report").click()
    until(lambda: verdict["status"] in browser.find_element(By.TAG_NAME, "h1").text or
          verdict["status"] in browser.find_element(By.TAG_NAME, "header").text)  # fmt: skip
    assert browser.get_log("browser") == []


def test_a_slip_in_the_form_is_told_and_the_next_try_runs(start: Start) -> None:
    locust = start()

    def state() -> str:
        return str(asked(locust, "loadtests/live.json").get("state", ""))

    until(state)
    answer = swarm(locust, rate="-1")
    assert answer["success"] is False
    assert "rate: input should be greater than 0" in answer["message"]
    assert asked(locust, "stats/requests").get("state") == "ready"
    swarm(locust, rate="100")
    until(lambda: "Measuring" in state(), 60)


def test_a_clusters_master_shows_the_merged_figures(
    start: Start, browser: Chrome, tmp_path: Path
) -> None:
    port = str(free_port())
    locust = start("--processes", "2", "--master-bind-port", port, "--master-port", port)
    until(lambda: len(asked(locust, "stats/requests").get("workers", [])) == 2)
    open_tab_of_a_running_test(browser, locust)
    until(lambda: {"worker 1", "worker 2"} <= set(re.findall(r"worker \d", tab_text(browser))))
    figures_are_there_and_change(browser)
    press(browser, "stop")
    until(lambda: browser.find_elements(By.LINK_TEXT, "Open the report"), 90)
    shown = calls(browser)
    counted = {
        (series["pattern"], LABELS[series["backend"]]): series
        for series in json.loads((tmp_path / "results/latest/run.json").read_text())["series"]
    }
    assert set(shown) == set(counted)
    # the last interval's word and the folder's final one may lie a drain apart
    assert all(shown[row] <= counted[row]["count"] for row in shown)
    assert sum(shown.values()) > 0.9 * sum(series["count"] for series in counted.values())
    assert browser.get_log("browser") == []
