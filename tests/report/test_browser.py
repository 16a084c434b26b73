"""The report in a real browser: Debian's Chromium, driven by Selenium, judged by axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from loadtests.measure.results import Run
from loadtests.patterns import CART_PATTERNS
from loadtests.report.build import build_reports
from loadtests.report.comparison import build_comparison
from loadtests.report.formats.comment import render_comment
from loadtests.report.page import build_page
from tests.browser import axe, emulate, reach
from tests.github_markdown import page_of
from tests.known import known
from tests.report.compared_runs import growth, judged_by

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(failed: Run) -> Path:
    """A FAIL with errors: every kind of cell is in its table."""
    return build_reports(failed.path)[0]


@pytest.fixture(scope="module")
def comparison(passed: Run, failed: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_comparison([passed, failed], tmp_path_factory.mktemp("comparison"))[0]


def show(browser: Chrome, page: Path, **screen: Any) -> None:
    emulate(browser, **screen)
    browser.get_log("browser")
    browser.get(page.as_uri())


def open_details(browser: Chrome) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; });")


@pytest.fixture(params=["report", "comparison"])
def page(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_no_console_message_and_nothing_fetched(browser: Chrome, page: Path) -> None:
    show(browser, page)
    assert browser.get_log("browser") == []
    fetched = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => !name.startsWith('data:'));"
    )
    assert fetched == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_horizontal_scroll(browser: Chrome, page: Path, width: int) -> None:
    show(browser, page, width=width)
    open_details(browser)
    content, window = reach(browser)
    assert content <= window <= width


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Chrome, page: Path, dark: bool, width: int) -> None:
    show(browser, page, dark=dark, width=width)
    open_details(browser)
    assert axe(browser) == []


def test_landmarks_and_the_first_tab_stop(browser: Chrome, report: Path) -> None:
    show(browser, report)
    for landmark in ("header", "nav", "main", "footer"):
        assert len(browser.find_elements(By.CSS_SELECTOR, landmark)) == 1
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.get_attribute("class") == "skip"
    assert focused.is_displayed()
    focused.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


def test_a_dark_page_is_dark_and_so_are_its_charts(browser: Chrome, report: Path) -> None:
    colours = {}
    for dark in (False, True):
        show(browser, report, dark=dark)
        colours[dark] = browser.execute_script(
            "const of = (e, name) => getComputedStyle(e)[name];"
            "return [of(document.body, 'backgroundColor'), of(document.querySelector("
            "'#chart-p50_p99 .panel svg text'), 'fill')];"
        )
    assert colours[False][0] == "rgb(255, 255, 255)"
    assert colours[True][0] != colours[False][0]
    assert colours[True][1] != colours[False][1]


def test_paper_is_light_even_where_the_screen_is_dark(browser: Chrome, report: Path) -> None:
    show(browser, report, dark=True, media="print")
    style = "return getComputedStyle(document.body).backgroundColor;"
    assert browser.execute_script(style) == "rgb(255, 255, 255)"


def test_the_table_sorts_by_keyboard_and_says_so(browser: Chrome, report: Path) -> None:
    show(browser, report)
    heads = browser.find_elements(By.CSS_SELECTOR, "table.sortable thead th")
    place = [head.text.split()[0] for head in heads].index("p99")
    button = heads[place].find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    button.send_keys(Keys.ENTER)
    assert heads[place].get_attribute("aria-sort") == "descending"
    values = browser.execute_script(
        "return [...document.querySelectorAll('table.sortable tbody tr')]"
        f".map(row => Number(row.cells[{place}].dataset.sort));"
    )
    assert values == sorted(values, reverse=True)
    first = browser.find_element(By.CSS_SELECTOR, "table.sortable tbody tr")
    assert first.text.startswith("cart.add PostgreSQL")


def test_without_script_every_figure_is_there(browser: Chrome, report: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, report)
        rows = browser.find_elements(By.CSS_SELECTOR, "table.sortable tbody tr")
        assert len(rows) == 18
        assert not browser.find_elements(By.CSS_SELECTOR, "th button")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_hostile_names_run_nothing(browser: Chrome, hostile: Run, tmp_path: Path) -> None:
    from loadtests.report.build import render
    from loadtests.report.page import build_page

    file = tmp_path / "report.html"
    file.write_bytes(render(build_page(hostile))["report.html"])
    show(browser, file)
    assert browser.get_log("browser") == []
    assert "<b>`x`" in browser.find_element(By.TAG_NAME, "main").text


@pytest.mark.parametrize("width", [390, 1280])
def test_a_comment_on_github_fits_and_its_pictures_do_not_wrap(
    browser: Chrome, compared: Run, tmp_path: Path, width: int
) -> None:
    limits = [growth(name, p, 1.02) for name in CART_PATTERNS for p in ("p50", "p99")]
    comment = known(render_comment(build_page(judged_by(compared, limits))))
    page = tmp_path / "comment.html"
    page.write_text(page_of(comment), encoding="utf-8")
    show(browser, page, width=width)
    content, window = reach(browser)
    assert content <= window
    pictures = browser.execute_script(
        "return [...document.querySelectorAll('td:last-child code')]"
        ".map(code => [code.getClientRects().length, code.getBoundingClientRect().width]);"
    )
    assert len(pictures) == 2 * len(CART_PATTERNS)
    assert {lines for lines, _ in pictures} == {1}
    assert len({round(width) for _, width in pictures}) == 1
