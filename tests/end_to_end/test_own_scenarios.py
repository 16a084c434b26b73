"""The examples of scenarios of one's own, both in one run on the real databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.own_sql.search import SearchUser
from examples.own_table.reviews import ReviewUser
from loadtests.config import Config, load_config
from loadtests.judge.judging import judge_run
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.measure.results import Run, Verdict, read_run
from loadtests.report.build import render
from loadtests.report.page import build_page
from loadtests.targets.endpoints import Endpoints
from tests.end_to_end.children import ROOT, RUN_ID, Children, ended

EXAMPLES = (ROOT / "examples/own_table/reviews.py", ROOT / "examples/own_sql/search.py")


@pytest.fixture
def run(children: Children, endpoints: Endpoints) -> Iterator[Run]:
    """Reviews on DynamoDB and searches on PostgreSQL, in one Locust."""
    locust = children.start(
        *("locust", "-f", ",".join(map(str, EXAMPLES)), "--headless", "--only-summary"),
        *("--run-time", "4s", "--warm-up", "1", "--rate", "100", "--users", "20", "--no-report"),
        endpoints=endpoints,
        environ={RUN_ID_VARIABLE: RUN_ID},
    )
    output = ended(locust)
    assert locust.returncode == 0, output
    try:
        yield read_run(children.run_folder)
    finally:
        ReviewUser.clean_up(endpoints)  # a run leaves embedded databases as they are
        SearchUser.clean_up(endpoints)


def settings_of(example: Path) -> Config:
    return load_config(environ={}, path=example.parent / "loadtests.toml")


def judged(run: Run, example: Path) -> Verdict:
    """The run by the limits of one example."""
    config = settings_of(example)
    return judge_run(run, config.slo, config.gate)


def test_both_examples_in_one_run(run: Run) -> None:
    by_place = {(each.backend, each.driver, each.pattern): each for each in run.info.series}
    assert set(by_place) == {
        ("dynamodb", "wire", "review.read"),
        ("dynamodb", "wire", "review.post"),
        ("postgres", "psycopg", "catalogue.search"),
    }
    assert not any(each.errors for each in run.info.series)
    assert run.info.config.patterns == ["review.read", "review.post", "catalogue.search"]
    assert run.info.config.served == {
        "dynamodb/wire": ["review.read", "review.post"],
        "postgres/psycopg": ["catalogue.search"],
    }
    # --rate is that of each backend
    calls = {
        backend: sum(each.count for each in run.info.series if each.backend == backend)
        for backend in ("dynamodb", "postgres")
    }
    assert all(200 < count < 400 for count in calls.values()), calls
    assert by_place["dynamodb", "wire", "review.read"].count > calls["dynamodb"] / 2

    limits = {(each.pattern, each.statistic) for each in judged(run, EXAMPLES[1]).limits}
    assert ("catalogue.search", "p50") in limits
    assert ("catalogue.search", "p99") in limits
    assert not judged(run, EXAMPLES[1]).not_judged
    assert ("review.read", "p50") in {
        (e.pattern, e.statistic) for e in judged(run, EXAMPLES[0]).limits
    }

    capacity = by_place["dynamodb", "wire", "review.post"].capacity
    assert capacity
    assert capacity.wcu_per_op == 1.0
    assert by_place["postgres", "psycopg", "catalogue.search"].capacity is None
    page = build_page(run)
    assert list(page.patterns) == ["review.read", "review.post", "catalogue.search"]
    files = render(page)
    for name in ("report.html", "series.csv", "metrics.prom", "summary.md"):
        assert b"catalogue.search" in files[name], name
    assert b"review.post" in files["report.html"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_has_settings(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 80
    config = settings_of(example)
    assert config.load.backend != "both"
    assert config.slo.patterns
