"""`junit.xml`: a test case for each limit, for CI systems that show such files.

A limit that FAILs is a failure. One that is INCONCLUSIVE is skipped: it was neither met nor
missed. INVALID is an error: the test itself broke. So that no CI turns green on skipped cases
alone, the case `verdict` stands for the run as a whole, and is an error unless the run is decided.

The file keeps to the schema that Jenkins' xUnit plugin checks (junit-10.xsd), the strictest of the
readers, and holds XML 1.0 characters only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from loadtests.measure.results import LimitVerdict
from loadtests.patterns import ALL_PATTERNS
from loadtests.report.figures.rounding import plain
from loadtests.report.figures.stalls import basis_words, stalls_sentence
from loadtests.report.figures.validity import signal_rows
from loadtests.report.figures.verdict_view import NOT_JUDGED
from loadtests.report.page import METRIC_WORDS, Page
from loadtests.report.sections import both_sets

_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(page: Page) -> bytes:
    """The whole file; all figures come from the stored verdict and health."""
    xml: Any = JUnitXml("cloudshelf-loadtests")  # its methods have no types
    for suite in _suites(page):
        if began := _TIMESTAMP.match(page.run.info.started_at):
            suite.timestamp = began[0]
        xml.add_testsuite(suite)
    xml.update_statistics()
    return _by_schema(xml.tostring().decode())


def _by_schema(text: str) -> bytes:
    """The file without what the schema has no place for."""
    root = ElementTree.fromstring(_NOT_XML.sub("�", text))  # noqa: S314
    root.attrib.pop("skipped", None)
    for element in root.iter():
        if "time" in element.attrib:
            element.set("time", f"{float(element.attrib['time']):.3f}")
    file: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return file


def _suites(page: Page) -> Iterator[TestSuite]:
    scenario = page.setting.scenario
    run = TestSuite(f"{scenario}.run")
    for name, text in _properties(page):
        run.add_property(name, text)
    run.add_testcase(_verdict(page))
    for signal in signal_rows(page.run):
        if signal.ok is None:
            continue
        case = TestCase(f"{signal.name} {signal.limit}".strip(), f"{scenario}.generator")
        if not signal.ok:
            case.result = [Error(signal.text or f"{signal.name}: {signal.value}", "INVALID")]
        run.add_testcase(case)
    yield run
    for subject in page.subjects:
        suite = TestSuite(f"{scenario}.{subject.label}")
        for row in page.rows:
            if row.subject == subject:
                suite.add_testcases([_case(limit, f"{suite.name}") for limit in row.limits])
        together = page.judged.limits_of(subject, ALL_PATTERNS)
        suite.add_testcases([_case(limit, f"{suite.name}") for limit in together])
        if len(suite):
            yield suite


def _properties(page: Page) -> Iterator[tuple[str, str]]:
    """What the run ran on, and what its machine did meanwhile."""
    for target in page.setting.targets:
        yield f"target.{target.backend}", target.name
    if page.run.info.stalls is not None:
        yield "stalls", stalls_sentence(page.run.info.stalls)
    if page.left_out is not None:
        yield "basis", basis_words(page.left_out)


def _verdict(page: Page) -> TestCase:
    case = TestCase("verdict", f"{page.setting.scenario}.run", page.measured_s)
    status, sentence = page.judged.status, page.judged.sentence
    if status == "FAIL":
        case.result = [Failure(sentence, status)]
    elif status in ("INCONCLUSIVE", "INVALID"):
        case.result = [Error(sentence, status)]
    elif status == NOT_JUDGED:
        case.result = [Skipped(sentence)]
    return case


def _case(limit: LimitVerdict, suite: str) -> TestCase:
    case = TestCase(_title(limit), f"{suite}.{limit.pattern}")
    if limit.status == "FAIL":
        case.result = [Failure(limit.sentence, limit.status)]
    elif limit.status == "INVALID":
        case.result = [Error(limit.sentence, limit.status)]
    elif limit.status != "PASS":
        case.result = [Skipped(limit.sentence or limit.status)]
    else:
        case.system_out = " ".join(filter(None, [limit.sentence, both_sets(limit)]))
    return case


def _title(limit: LimitVerdict) -> str:
    metric = METRIC_WORDS.get(limit.metric, limit.metric)
    if limit.kind == "error_rate":
        return f"{limit.pattern} errors ≤ {plain(100 * limit.limit)}%"
    unit = "× baseline" if limit.kind == "relative" else "ms"
    return f"{limit.pattern} {limit.percentile} of {metric} ≤ {plain(limit.limit)} {unit}"
