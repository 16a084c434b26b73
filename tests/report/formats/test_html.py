from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from loadtests.config import Slo
from loadtests.errors import ResultsError
from loadtests.judge.capacity.answer import store_capacity_run
from loadtests.measure.results import (
    EnvironmentInfo,
    HealthInfo,
    Run,
    RunConfig,
    read_run,
    write_info,
)
from loadtests.report.build import build_reports, render
from loadtests.report.charts.palette import DARK, HEAT, LIGHT
from loadtests.report.figures.series import SUBJECT_ROLES
from loadtests.report.page import build_page
from tests.judge.climbs import Server, climb_config, simulate, write_climb
from tests.known import known
from tests.run_folders import MadeSeries, made_series, made_verdict, write_run


class Document(HTMLParser):
    """Every tag with its attributes, and the text outside script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.raw: dict[str, str] = {}
        self.inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.inside = tag if tag in {"script", "style"} else None

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.raw[self.inside] = self.raw.get(self.inside, "") + data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def files(passed: Run) -> dict[str, bytes]:
    return render(build_page(passed))


@pytest.fixture(scope="module")
def document(files: dict[str, bytes]) -> Document:
    return Document(files["report.html"].decode())


def test_it_needs_nothing_else(files: dict[str, bytes], document: Document) -> None:
    assert len(files["report.html"]) < 2_000_000
    assert not document.all("img")
    assert not [a for a in document.all("link") if not a["href"].startswith("data:")]
    assert not [a for a in document.all("script") if "src" in a]
    assert all(a["href"].startswith("#") for a in document.all("a"))
    html = files["report.html"].decode()
    assert not re.search(r"url\((?!#)|@import", html)


def test_only_the_pages_own_script_may_run(document: Document) -> None:
    policy = next(a["content"] for a in document.all("meta") if "http-equiv" in a)
    digest = hashlib.sha256(document.raw["script"].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy


def test_ids_are_unique_and_links_lead_somewhere(document: Document) -> None:
    ids = Counter(a["id"] for _, a in document.tags if "id" in a)
    assert [name for name, count in ids.items() if count > 1] == []
    references = [a["href"][1:] for a in document.all("a")]
    references += [a["xlink:href"][1:] for a in document.all("use")]
    references += [a["aria-labelledby"] for _, a in document.tags if "aria-labelledby" in a]
    references += re.findall(r"url\(#([^)]*)\)", repr(document.tags))
    assert [name for name in references if name not in ids] == []


def test_charts_speak(document: Document) -> None:
    charts = [a for tag, a in document.tags if tag == "div" and a.get("role") == "img"]
    assert len(charts) > 20
    assert all(len(a["aria-label"]) > 20 for a in charts)
    assert all(a["aria-hidden"] == "true" for a in document.all("svg"))


def test_charts_are_themed_by_variables(files: dict[str, bytes]) -> None:
    html = files["report.html"].decode()
    inside = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--first)" in inside
    assert not re.findall(r"#[0-9a-f]{6}", inside)
    defined = set(re.findall(r"--([a-z0-9]+):#", html))
    assert set(re.findall(r"var\(--([a-z0-9]+)\)", inside)) <= defined


def test_it_says_what_a_release_manager_asks(document: Document) -> None:
    text = document.text
    assert "All 36 limits hold" in text
    assert "An emulator is not AWS" in text
    assert re.search(
        r"DynamoDB takes [\d.]+× as long as PostgreSQL at p50 and [\d.]+× at p99", text
    )
    assert "docs/METHOD.md" in text
    for title in ("Percentile spectrum", "Where the time goes", "Can the generator be trusted?"):
        assert title in text


def test_it_links_to_the_projects_guide_where_there_is_one(passed: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "20260302T093000Z-storefront-pass"
    folder.mkdir(parents=True)
    page = build_page(replace(passed, path=folder))
    assert "METHOD.md</a>" not in render(page)["report.html"].decode()
    guide = tmp_path / "docs" / "METHOD.md"
    guide.parent.mkdir()
    guide.write_text("")
    found = re.findall(r'href="([^"]*METHOD.md)"', render(page)["report.html"].decode())
    assert len(found) == 2
    assert {(folder / link).resolve() for link in found} == {guide.resolve()}


def test_headings_do_not_skip_a_level(document: Document) -> None:
    levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_hostile_names_stay_text(hostile: Run) -> None:
    files = render(build_page(hostile))
    document = Document(files["report.html"].decode())
    assert not document.all("b")
    assert "<b>`x`|*y* $z$&\"'" in document.text
    assert not any("hunter2" in content.decode(errors="ignore") for content in files.values())
    for name, content in files.items():
        if name.endswith(".svg"):
            texts = [e.text or "" for e in ElementTree.fromstring(content).iter()]
            assert any("$z$" in text for text in texts) or "p50" not in name


def test_the_same_folder_gives_the_same_files(passed: Run, files: dict[str, bytes]) -> None:
    again = render(build_page(read_run(passed.path)))
    assert [name for name in files if files[name] != again[name]] == []


def test_colours_have_contrast() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    words = ("ink", "muted", "limit", "first", "pass", "fail", "inconclusive", "invalid")
    for theme in (LIGHT, DARK):
        assert all(contrast(theme[role], theme["paper"]) >= 4.5 for role in words)
        assert all(contrast(theme[role], theme["warm"]) >= 4.5 for role in ("ink", "muted"))
        assert all(contrast(theme[role], theme["paper"]) >= 2.9 for role in SUBJECT_ROLES)
        steps = [luminance(theme[role]) for role in HEAT]
        assert steps == sorted(steps, reverse=theme is LIGHT)
    assert len(set(LIGHT.values())) == len(LIGHT)  # a colour must lead back to its role
    assert LIGHT.keys() == DARK.keys()


def parts_missing(run: Run, case: str) -> None:
    """The run folder with one optional part taken away."""
    info = run.info
    if case == "no warm-up log":
        (run.path / "warm-up.hlog").unlink()
    elif case == "no calls in a series":
        empty = info.series[0].model_copy(
            update={"count": 0, "errors": {}, "response_time_ms": None, "driver": "boto3"}
        )
        info = info.model_copy(update={"series": [empty, *info.series[1:]]})
    elif case == "log of nothing":
        header = (run.path / "latency.hlog").read_text().splitlines(keepends=True)[:3]
        (run.path / "latency.hlog").write_text("".join(header))
        info = info.model_copy(update={"series": [], "state": "running"})
    elif case == "no signals":
        info = info.model_copy(
            update={
                "health": HealthInfo(),
                "config": RunConfig(),
                "targets": {},
            }
        )
    else:
        cases: dict[str, dict[str, object]] = {
            "no verdict": {"verdict": None},
            "no validity": {"validity": None},
            "interrupted": {"state": "interrupted", "duration_s": 0.0},
            "nothing known": {
                "config": RunConfig(),
                "environment": EnvironmentInfo(),
                "targets": {},
                "health": HealthInfo(),
            },
            "no capacity": {
                "series": [s.model_copy(update={"capacity": None}) for s in info.series]
            },
        }
        info = info.model_copy(update=cases[case])
    write_info(run.path, info)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no verdict", "This run has not been judged."),
        ("no validity", "health was not judged"),
        ("interrupted", "The run was interrupted"),
        ("nothing known", "What it ran on was not recorded."),
        ("no capacity", "Where the time goes"),
        ("no warm-up log", "Over time"),
        ("no calls in a series", "No call was made for cart.add on DynamoDB (boto3)."),
        ("log of nothing", "Nothing was measured"),
        ("no signals", "run.json holds no health signal."),
    ],
)
def test_a_missing_part_is_said_not_stumbled_over(tmp_path: Path, case: str, said: str) -> None:
    run = write_run(tmp_path / "r", series=made_series(["cart.get", "cart.add"]), seconds=12)
    parts_missing(run, case)
    written = build_reports(run.path)
    names = {str(path.relative_to(run.path)) for path in written}
    assert {"report.html", "summary.md", "junit.xml", "series.csv", "metrics.prom"} <= names
    assert said in Document((run.path / "report.html").read_text()).text


def test_a_capacity_run_is_drawn(tmp_path: Path) -> None:
    run = write_climb(tmp_path / "r", simulate(climb_config(400, 1_600), Server()))
    store_capacity_run(run, Slo(), 0.95)
    build_reports(run.path)
    text = Document((run.path / "report.html").read_text()).text
    assert "Throughput against p99" in text
    assert "1,600 /s" in text
    assert (run.path / "charts/capacity.png").exists()


def test_pictures_are_pictures(passed: Run, files: dict[str, bytes]) -> None:
    names = {Path(name).stem for name in files if name.startswith("charts/")}
    assert {"p50_p99", "spectrum", "backends", "over_time", "heatmap", "breakdown"} <= names
    for name in names:
        assert files[f"charts/{name}.png"].startswith(b"\x89PNG")
        root = ElementTree.fromstring(files[f"charts/{name}.svg"])
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(ids) == len(set(ids))
    text = files["charts/p50_p99.svg"].decode()
    row = build_page(passed).rows[0]
    assert row.p99.value.text.removesuffix(" ms") in text
    assert "10 ms" in text


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", series=[MadeSeries()], seconds=5)
    (run.path / "charts").write_text("in the way")
    with pytest.raises(ResultsError, match=r"charts.* cannot be written"):
        build_reports(run.path)
    assert not [p for p in run.path.iterdir() if p.name.startswith(".")]


def test_a_run_that_is_not_valid_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", series=[MadeSeries()], seconds=5, valid=False)
    info = run.info.model_copy(update={"verdict": made_verdict("INVALID")})
    page = build_page(replace(run, info=info))
    document = Document(render(page)["report.html"].decode())
    assert known(run.info.validity).reasons[0].found[1:].rstrip(".") in document.text
    assert ("header", {"class": "top INVALID"}) in document.tags
    assert document.text.count("⊘ INVALID") == 1  # for the run, and not again in every row
