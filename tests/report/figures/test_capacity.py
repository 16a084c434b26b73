"""A capacity run's report, terminal table and summary, from a simulated climb."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from selenium.webdriver import Chrome

from loadtests.config import Slo
from loadtests.judge.capacity.answer import measured_in, store_capacity_run
from loadtests.measure.results import Run
from loadtests.report.build import build_reports, render
from loadtests.report.charts.capacity import steps_table
from loadtests.report.figures.capacity import limit_of, steps_of
from loadtests.report.formats.terminal import terminal_table
from loadtests.report.page import build_page
from tests.browser import axe, emulate, reach
from tests.judge.climbs import Server, climb_config, simulate, write_climb
from tests.known import known
from tests.report.formats.test_html import Document


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """DynamoDB gives out at 1,000/s; of PostgreSQL, measured in another run, the generator did."""
    folder = tmp_path_factory.mktemp("climbs")
    config = climb_config(250, 2_000)
    postgres = simulate(config, Server(starved_from=1_000), ("postgres",))
    other, _ = store_capacity_run(write_climb(folder / "other", postgres), Slo(), 0.95)
    run = write_climb(folder / "run", simulate(config, Server()))
    shown = measured_in(known(other.info.capacity_run), "other")
    return store_capacity_run(run, Slo(), 0.95, [shown])[0]


@pytest.fixture(scope="module")
def text(climbed: Run) -> str:
    return Document(build_reports(climbed.path)[0].read_text()).text


def test_the_answers_stand_first(text: str) -> None:
    assert "DynamoDB meets the limits up to 500/s." in text
    assert (
        "PostgreSQL meets the limits up to 500/s. At 1,000/s the load generator was the bottleneck"
        in text
    )
    assert "The steps of PostgreSQL were measured in run other." in text


def test_every_step_is_in_the_table_under_whose_doing_it_was(climbed: Run) -> None:
    table = steps_table(steps_of(climbed))
    verdicts = [(row[0], row[1], row[-2]) for row in table.rows]
    assert verdicts == [
        ("DynamoDB", "250 /s", "PASS"),
        ("DynamoDB", "500 /s", "PASS"),
        ("DynamoDB", "1,000 /s", "FAIL"),
        ("DynamoDB", "2,000 /s", "FAIL"),
        ("PostgreSQL", "250 /s", "PASS"),
        ("PostgreSQL", "500 /s", "PASS"),
        ("PostgreSQL", "1,000 /s", "INVALID: generator"),
        ("PostgreSQL", "2,000 /s", "INVALID: generator"),
    ]
    assert {len(row) for row in table.rows} == {len(table.head)}


def test_figures_that_would_mix_the_rates_are_left_out(text: str) -> None:
    assert "Verdict for each access pattern" not in text
    assert "Percentile spectrum" not in text
    assert "250 to 2,000 Poisson arrivals/s in rising steps" in text


def test_how_a_step_is_judged_is_explained(text: str) -> None:
    assert "A step's verdict" in text
    assert "highest power" in text


def test_a_climb_that_nobody_judged_says_so(tmp_path: Path) -> None:
    run = write_climb(tmp_path / "r", simulate(climb_config(250, 250), Server()))
    text = Document(render(build_page(run))["report.html"].decode()).text
    assert "Its steps have not been judged." in text


def test_charts_and_summary(climbed: Run) -> None:
    files = render(build_page(climbed))
    assert "charts/capacity.png" in files
    summary = files["summary.md"].decode()
    assert "DynamoDB meets the limits up to 500/s." in summary
    assert "| PostgreSQL | 1,000 /s |" in summary
    assert "10 ms" in files["charts/capacity.svg"].decode()


def test_the_terminal_shows_this_runs_own_steps_in_80_columns(climbed: Run) -> None:
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(terminal_table(climbed))
    said = out.getvalue()
    assert max(len(line) for line in said.splitlines()) <= 80
    assert "FAIL" in said
    assert "generator" not in said
    assert "target p99 10 ms" in said


def test_the_target_is_the_one_the_steps_were_held_to(climbed: Run) -> None:
    steps = steps_of(climbed)
    assert limit_of(steps, None) == 10.0
    assert limit_of([], 7.0) == 7.0


@pytest.mark.browser
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_in_a_browser(browser: Chrome, climbed: Run, width: int, dark: bool) -> None:
    page = build_reports(climbed.path)[0]
    emulate(browser, width=width, dark=dark)
    browser.get_log("browser")
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; });")
    content, window = reach(browser)
    assert content <= window <= width
    assert browser.get_log("browser") == []
    assert axe(browser) == []
