"""The comment on a pull request: short, decided in its first line, safe, and found again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import SettingsOrigin
from loadtests.measure.results import LimitVerdict, Run, StallInfo, TargetInfo
from loadtests.patterns import ALL_PATTERNS
from loadtests.report import build
from loadtests.report.formats.comment import MOST_ROWS, render_comment
from loadtests.report.page import build_page
from tests.github_markdown import rendered
from tests.known import known
from tests.report.compared_runs import compared_run, growth, judged_by
from tests.report.conftest import HOSTILE

ALLOWED_TAGS = {
    *("h3", "p", "strong", "code", "sub", "br", "ul", "li"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
GATE = {"kind": "absolute", "percentile": "p99", "limit": 10.0}


class Elements(HTMLParser):
    """Counts the elements of a page, and keeps its comments and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: list[str] = []
        self.comments: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [name for name, _ in attrs]

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())

    def handle_data(self, data: str) -> None:
        self.text += data


def comment_of(run: Run, limits: Sequence[LimitVerdict], **changes: Any) -> str:
    return known(render_comment(build_page(judged_by(run, limits, **changes))))


def rows_of(comment: str) -> list[str]:
    return [line for line in comment.splitlines() if line.startswith("| ")][2:]


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Head takes 40% longer for one access pattern and 30% less for another."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-cart-slower"
    return compared_run(path, {"cart.get": 1.0, "cart.add": 1.4, "cart.remove": 0.7})


def test_a_comparison_writes_a_comment_and_a_gate_does_not(
    slower: Run, passed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "sections_of", lambda _: [])  # without charts, which take seconds
    comment = build.render(build_page(slower))["comment.md"].decode()
    assert "comment.md" not in build.render(build_page(passed))
    marker, blank, heading, *_ = comment.splitlines()
    assert marker == "<!-- loadtests: head against base, storefront -->"
    assert (blank, heading[:21]) == ("", "### ❌ Slower: cart.ad")
    assert "**FAIL** (exit code 1)" in comment
    assert "`head` against `base` on DynamoDB, called simultaneously in one run" in comment
    assert re.search(r"Faster: cart.remove p50 −\d\d%, p99 −\d\d%\.", comment)
    assert "An emulator is not AWS" in comment
    assert [row.split("`")[1] for row in rows_of(comment)] == [
        *(ALL_PATTERNS, "cart.add", "cart.remove", "cart.get")
    ]


def test_github_shows_a_table_and_hides_the_marker(slower: Run) -> None:
    page = Elements(rendered(known(render_comment(build_page(slower)))))
    assert page.tags.keys() <= ALLOWED_TAGS
    assert page.attributes == []
    assert page.comments == ["loadtests: head against base, storefront"]
    assert (page.tags["table"], page.tags["tr"], page.tags["td"]) == (1, 5, 12)
    assert "●" in page.text
    assert "**" not in page.text


def test_each_percentile_has_its_change_and_its_picture(compared: Run) -> None:
    limits = [
        growth("cart.get", "p50", 1.12, low=1.1, high=1.14, status="FAIL", direction="slower"),
        growth("cart.get", "p99", 1.0, low=None, high=None, status="INCONCLUSIVE"),
    ]
    (row,) = rows_of(comment_of(compared, limits))
    name, said, picture = row.strip("| ").split(" | ")
    assert name == "`cart.get`"
    assert " " not in said  # it does not wrap, as its picture does not
    assert (
        said.replace("\u00a0", " ")
        == "❌ p50 **+12%** (+10% to +14%)<br>❓ p99 ±0% (too few calls)"
    )
    lines = picture.split("<br>")
    assert [(line[0], line[-1], line.count("●")) for line in lines] == [("`", "`", 1)] * 2
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 9), (40, 9)])
def test_a_table_has_at_most_ten_lines(compared: Run, count: int, shown: int) -> None:
    limits = [growth(f"cart.p{number:02d}", "p50", 1.01) for number in range(count)]
    limits[-1] = limits[-1].model_copy(update={"status": "FAIL", "estimate": 1.4})
    limits[-2] = limits[-2].model_copy(update={"status": "INCONCLUSIVE"})
    rows = rows_of(comment_of(compared, limits))
    assert len(rows) == min(count, MOST_ROWS)
    assert f"cart.p{count - 1:02d}" in rows[0]
    assert f"cart.p{count - 2:02d}" in rows[1]
    assert sum("●" in row for row in rows) == shown
    if count > shown:
        assert rows[-1] == f"| and {count - shown} more | {count - shown} within the limits |  |"


def test_an_invalid_run_has_reasons_and_no_figures(compared: Run) -> None:
    limits = [growth("cart.get", "p50", 1.4, status="INVALID")]
    reasons = ("12 of 400 calls of cart.get failed.", "<b>no</b>")
    comment = comment_of(compared, limits, status="INVALID", reasons=reasons)
    assert "### ⛔ The verdict." in comment
    assert "- 12 of 400 calls of cart.get failed.\n- &lt;b&gt;no&lt;/b&gt;" in comment
    assert "**INVALID** (exit code 4): the run does not count" in comment
    assert rows_of(comment) == []
    assert "+40%" not in comment


def test_limits_of_head_itself_are_stated_beside_the_comparison(compared: Run) -> None:
    within = growth("cart.get", "p50", 1.01)
    held = within.model_copy(update=GATE | {"sentence": "It holds."})
    broken = held.model_copy(update={"status": "FAIL", "sentence": "cart.get p99 is 12 ms."})
    comment = comment_of(compared, [within, held])
    assert comment.splitlines()[2].startswith("### ✅ No access pattern is slower")
    assert "Limits of `head` itself: 1 PASS." in comment
    comment = comment_of(compared, [within, held, broken])
    assert comment.splitlines()[2] == "### ❌ FAIL: The verdict."
    assert "**No access pattern is slower by more than 5% at p50.**" in comment
    assert "Limits of `head` itself: 1 FAIL, 1 PASS.\n- cart.get p99 is 12 ms." in comment


def test_it_says_what_was_left_out_and_where_limits_came_from(compared: Run) -> None:
    origin = SettingsOrigin(kind="file", path="head/loadtests.toml", sha256="0123456789abcdef")
    limits = [growth("cart.get", "p50", 1.01, basis="undisturbed")]
    run = judged_by(compared, limits, limits_from=origin)
    assert "stalls of the machine were not measured" in known(render_comment(build_page(run)))
    stalls = StallInfo(meter="realtime", before_ms=0, after_ms=15, min_used_ms=0.5, left_out=0.07)
    info = run.info.model_copy(update={"stalls": stalls})
    comment = known(render_comment(build_page(replace(run, info=info))))
    assert "7.0% of calls left out: the machine stalled near them" in comment
    assert "Limits: head/loadtests.toml (SHA-256 0123456789ab)." in comment


def test_alternation_is_stated(compared: Run) -> None:
    load = compared.info.config.load.model_copy(update={"blocks": 1})
    config = compared.info.config.model_copy(update={"load": load})
    run = replace(compared, info=compared.info.model_copy(update={"config": config}))
    assert "alternating every 1 s" in comment_of(run, [growth("cart.get", "p50", 1.0)])


def test_the_marker_is_the_same_for_every_run_of_a_comparison(slower: Run, compared: Run) -> None:
    first = known(render_comment(build_page(slower))).splitlines()[0]
    assert first == comment_of(compared, [growth("cart.get", "p50", 1.4)]).splitlines()[0]


def test_hostile_names_stay_text(compared: Run, tmp_path: Path) -> None:
    evil = f"{HOSTILE} --> <script>x</script> ![a](http://x.test) #1 www.x.test | http://x.test"
    series = [
        each.model_copy(update={"driver": f"{each.driver}{evil}"}) for each in compared.info.series
    ]
    limits = [
        growth(evil, "p99", 1.3, status="FAIL").model_copy(
            update={"driver": f"head{evil}", "sentence": evil}
        ),
        growth("cart.get", "p50", 1.0).model_copy(
            update={"driver": f"head{evil}", "sentence": evil, **GATE, "status": "FAIL"}
        ),
    ]
    origin = SettingsOrigin(kind="file", path=evil, sha256="0" * 64)
    run = judged_by(compared, limits, limits_from=origin, series=series)
    update = {"scenario": evil, "targets": {"dynamodb": TargetInfo(label=evil)}}
    run = replace(run, info=run.info.model_copy(update=update))
    comment = known(render_comment(build_page(run)))
    page = Elements(rendered(comment))
    assert page.tags.keys() <= ALLOWED_TAGS
    assert page.attributes == []
    (marker,) = page.comments
    assert comment.splitlines()[0] == f"<!-- {marker} -->"
    assert not re.search(r"--|[<>]", marker)
    assert (page.tags["table"], page.tags["tr"], page.tags["td"]) == (1, 2, 3)
    assert "@all" not in re.sub(r"`[^`]*`", "", comment)
