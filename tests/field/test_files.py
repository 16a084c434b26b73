"""Kind 13: files that other programs read follow those programs' rules."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtests.measure.results import Run, TargetInfo
from loadtests.report.formats.html import render_report
from loadtests.report.formats.junit import render_junit
from loadtests.report.formats.markdown import render_summary
from loadtests.report.formats.prometheus import render_prometheus
from loadtests.report.formats.series_csv import render_csv
from loadtests.report.page import build_page
from loadtests.report.sections import sections_of
from tests.known import known
from tests.report.conftest import judge
from tests.run_folders import MadeSeries, write_run

NAMES: Final = '=cmd|"/C"!A1 <b>|`x`\\ \x1b[31m\x00\u202e @all\n-b'
TYPES: Final = {"counter", "gauge", "histogram", "summary", "untyped"}
NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SAMPLE: Final = re.compile(
    r'(?P<name>[a-zA-Z_:][\w:]*)\{(?P<labels>(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*",?)*)\}'
    r" (?P<value>[-+]?\d[\d.e+-]*|NaN|[+-]Inf)"
)
XML_10: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
# junit-10.xsd of Jenkins' xUnit plugin: the attributes and children of each element
JUNIT: Final = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": (
        {"name", "time", "classname"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A judged run of two patterns on both backends, with some failed calls."""
    series = [
        MadeSeries("dynamodb", "wire", "cart.get", error_share=0.01),
        MadeSeries("postgres", "psycopg", "cart.get"),
    ]
    return judge(
        write_run(
            tmp_path_factory.mktemp("results") / "run",
            series=series,
            seconds=8,
            config={"patterns": ["cart.get"]},
        ).path
    )


@pytest.fixture(scope="module")
def named(run: Run) -> Run:
    """The same run with names that a user, a foreign store or an attacker has chosen."""
    series = [
        each.model_copy(update={"errors": {NAMES: 3}} if each.errors else {})
        for each in run.info.series
    ]
    verdict = known(run.info.verdict)
    limits = [
        limit.model_copy(update={"sentence": NAMES, "status": "FAIL"}) for limit in verdict.limits
    ]
    return replace(
        run,
        info=run.info.model_copy(
            update={
                "id": NAMES,
                "scenario": NAMES,
                "started_at": NAMES,
                "series": series,
                "targets": {"dynamodb": TargetInfo(label=NAMES)},
                "verdict": verdict.model_copy(update={"limits": tuple(limits)}),
            }
        ),
    )


def samples_of(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Family, name, labels and value of each sample, by the rules of the text format 0.0.4.

    Strict as node_exporter's collector is: HELP and TYPE once and before the samples, the types of
    the format only, one block per family, no timestamps, no sample twice.
    """
    assert text.endswith("\n")
    seen: set[str] = set()
    family = helped = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped, meaning = line.split(" ", 3)[2:]
            assert meaning
            assert helped not in seen
            seen.add(helped)
        elif line.startswith("# TYPE "):
            family, kind = line.split(" ", 3)[2:]
            assert family == helped
            assert kind in TYPES
            assert NAME.fullmatch(family)
            assert not family.endswith(("_total", "_count", "_sum", "_bucket"))  # promtool's lint
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample["name"] in {family, f"{family}_sum", f"{family}_count"}, line
            assert line.rsplit(" ", 1)[0] not in seen, line
            seen.add(line.rsplit(" ", 1)[0])
            yield family, sample["name"], sample["labels"], sample["value"]


def test_the_metrics_are_what_a_textfile_collector_reads(run: Run, named: Run) -> None:
    """node_exporter: "unknown metric type info"; no figure of the gate reached Prometheus."""
    for each in (run, named):
        text = render_prometheus(build_page(each))
        assert len(list(samples_of(text))) > 50
        assert len(list(text_string_to_metric_families(text))) > 5


def test_two_files_of_one_gate_do_not_collide(run: Run) -> None:
    """Load and micro-benchmarks copied to one collector: "was collected before with the same name
    and label values", and the collector served neither."""
    micro = replace(run, info=run.info.model_copy(update={"scenario": "micro"}))
    files = [list(samples_of(render_prometheus(build_page(each)))) for each in (run, micro)]
    names = [{(name, labels) for _, name, labels, _ in samples} for samples in files]
    assert not names[0] & names[1]


def test_junit_keeps_to_the_schema(run: Run, named: Run) -> None:
    """Jenkins refused the file: attribute `skipped` of `testsuites`, and control characters."""
    for each in (run, named):
        content = render_junit(build_page(each)).decode()
        assert XML_10.fullmatch(content)
        root = ElementTree.fromstring(content)
        assert root.tag == "testsuites"
        for element in root.iter():
            attributes, children = JUNIT[element.tag]
            assert set(element.attrib) <= attributes
            assert {child.tag for child in element} <= children
            assert re.fullmatch(r"\d+\.\d{3}", element.get("time", "0.000"))
            assert "\n" not in element.get("name", "")
        cases = [(c.get("classname"), c.get("name")) for c in root.iter("testcase")]
        assert len(set(cases)) == len(cases)  # GitLab shows one of those that are alike


def test_no_text_of_the_csv_is_a_formula(named: Run) -> None:
    """A target's label was a user's `=HYPERLINK(…)`, and the spreadsheet ran it."""
    rows = list(csv.reader(io.StringIO(render_csv(build_page(named)), newline="")))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell.isprintable()


def test_the_summary_is_one_table_of_githubs_markdown(named: Run) -> None:
    """A name with a pipe broke the table, one with an at sign mentioned a team."""
    text = render_summary(build_page(named))
    assert len(text.encode()) < 1 << 20  # GitHub's limit for a step summary
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    plain = re.sub(r"`[^`]*`", "", text)
    assert "@all" not in plain
    assert "<b>" not in plain
    assert all(char.isprintable() or char in "\n\u200b" for char in text)


def test_the_page_runs_no_script_but_its_own(named: Run) -> None:
    """A report on an artifact server ran a script from an error's name."""
    page = build_page(named)
    html = render_report(page, [replace(each, charts=()) for each in sections_of(page)], {})
    assert "script-src 'sha256-" in html
    assert "default-src 'none'" in html
    assert "<b>" not in html
    assert not re.search(r"(?:src|href)=\"?(?:https?:)?//(?!github\.com)", html)
    assert "\x1b" not in html
    assert "\u202e" not in html
