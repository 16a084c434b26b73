"""The machine-readable files: read back by libraries that are not ours."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from prometheus_client.parser import text_string_to_metric_families

from loadtests.measure.health.signals import Signal
from loadtests.measure.results import BaselineReference, HealthInfo, LimitVerdict, Run, Status
from loadtests.report.formats.junit import render_junit
from loadtests.report.formats.markdown import LONGEST, render_summary
from loadtests.report.formats.prometheus import render_prometheus
from loadtests.report.formats.series_csv import COLUMNS, render_csv
from loadtests.report.page import build_page
from tests.known import known
from tests.report.conftest import judge
from tests.run_folders import MadeSeries, write_run


def cases_of(xml: bytes) -> dict[tuple[str, str], Any]:
    return {
        (case.classname, case.name): case for suite in JUnitXml.fromstring(xml) for case in suite
    }


def with_status(run: Run, status: Status) -> Run:
    limits = [x.model_copy(update={"status": status}) for x in known(run.info.verdict).limits]
    return with_verdict(run, status=status, limits=tuple(limits))


def with_verdict(run: Run, **changes: object) -> Run:
    verdict = known(run.info.verdict).model_copy(update=changes)
    return replace(run, info=run.info.model_copy(update={"verdict": verdict}))


def growth(limit: LimitVerdict, **changes: object) -> LimitVerdict:
    """The same limit as one on the growth against a baseline."""
    growth = {"kind": "relative", "percentile": "p99", "limit": 1.2, "estimate": 1.08}
    return limit.model_copy(update=growth | changes)


def test_junit_has_a_case_for_each_limit(failed: Run) -> None:
    xml = JUnitXml.fromstring(render_junit(build_page(failed)))
    # 18 series with a p99 and an error-rate limit each, the run's verdict, and the signals
    signals = sum(signal.limit is not None for signal in failed.info.health.signals)
    assert xml.tests == sum(1 for suite in xml for _ in suite) == 36 + 1 + signals
    cases = cases_of(render_junit(build_page(failed)))
    (case,) = (c for (_, name), c in cases.items() if name.startswith("cart.add p99") and c.result)
    assert isinstance(case.result[0], Failure)
    assert "above 10.0 ms" in case.result[0].message
    assert case.classname == "storefront.PostgreSQL.cart.add"
    assert case.name == "cart.add p99 of response time ≤ 10 ms"
    assert xml.failures == 3  # p99, error rate, and the run


@pytest.mark.parametrize(
    ("status", "limit", "run"),
    [
        ("PASS", None, None),
        ("FAIL", Failure, Failure),
        ("INCONCLUSIVE", Skipped, Error),
        ("INVALID", Error, Error),
    ],
)
def test_junit_states(passed: Run, status: Status, limit: type | None, run: type | None) -> None:
    cases = cases_of(render_junit(build_page(with_status(passed, status))))
    for (classname, name), case in cases.items():
        wanted = run if name == "verdict" else None if "generator" in classname else limit
        assert [type(r) for r in case.result] == ([wanted] if wanted else []), name


def test_junit_of_a_signal_beyond_its_limit(passed: Run) -> None:
    signal = Signal("Loop lag p99", "", 9, "ms", 1, ok=False)
    info = passed.info.model_copy(update={"health": HealthInfo(signals=[signal])})
    cases = cases_of(render_junit(build_page(replace(passed, info=info))))
    case = cases["storefront.generator", "Loop lag p99 ≤ 1 ms"]
    assert isinstance(case.result[0], Error)


def test_junit_survives_hostile_names(hostile: Run) -> None:
    cases = cases_of(render_junit(build_page(hostile)))
    assert any("<b>`x`|*y*" in name for _, name in cases)


def test_metrics_are_valid_and_true(passed: Run) -> None:
    page = build_page(passed)
    families = {f.name: f for f in text_string_to_metric_families(render_prometheus(page))}
    summary = families["cloudshelf_loadtest_response_time_seconds"]
    assert summary.type == "summary"
    found = {
        (s.labels["backend"], s.labels["pattern"], s.labels.get("quantile"), s.name[-6:]): s.value
        for s in summary.samples
    }
    for info in passed.info.series:
        place = (info.backend, info.pattern)
        assert found[*place, "0.99", "econds"] == pytest.approx(
            known(info.response_time_ms).p99 / 1e3
        )
        assert found[*place, None, "_count"] == info.count
    verdict = {s.labels["status"]: s.value for s in families["cloudshelf_loadtest_verdict"].samples}
    assert [name for name, value in verdict.items() if value] == ["PASS"]


def test_metrics_leave_out_what_is_not_carried_and_escapes(tmp_path: Path, hostile: Run) -> None:
    run = write_run(tmp_path / "r", series=[MadeSeries(rate_per_s=20)], seconds=5)
    text = render_prometheus(build_page(run))
    assert 'quantile="0.5"' in text
    assert 'quantile="0.99"' not in text
    families = text_string_to_metric_families(render_prometheus(build_page(hostile)))
    labels = [s.labels for family in families for s in family.samples]
    assert any("<b>`x`|*y*" in found.get("error", "") for found in labels)


def test_csv_has_a_row_for_each_series_and_time(passed: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(build_page(passed)))))
    assert len(rows) == 18 * 3
    assert tuple(rows[0]) == COLUMNS
    info = passed.info.series[0]
    row = next(
        r
        for r in rows
        if (r["backend"], r["pattern"], r["metric"]) == (info.backend, info.pattern, "wire_time")
    )
    assert float(row["p99_ms"]) == pytest.approx(known(info.wire_time_ms).p99, rel=1e-5)
    assert float(rows[0]["p50_low_ms"]) <= float(rows[0]["p50_ms"]) <= float(rows[0]["p50_high_ms"])


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", series=[MadeSeries(pattern="=1+1")], seconds=5)
    (row, *_) = csv.DictReader(io.StringIO(render_csv(build_page(run))))
    assert row["pattern"] == "'=1+1"


def test_the_summary_is_one_screen(failed: Run) -> None:
    text = render_summary(build_page(failed))
    assert text.startswith("### ❌ FAIL: ")
    assert "An emulator is not AWS" in text
    assert len(text) < 8_000
    assert len(text.splitlines()) < 40
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == 2 + 9
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert "- FAIL: postgres cart.add p99 response time is " in text.replace("\\", "")


def test_the_summary_survives_hostile_names(hostile: Run) -> None:
    text = render_summary(build_page(hostile))
    assert "<b>" not in re.sub(r"`[^`]*`", "", text)  # a code span shows it as it is
    assert not re.search(r"@all", re.sub(r"`[^`]*`", "", text))
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert "FAIL: &lt;b&gt;\\`x\\`\\|\\*y\\* " in text
    assert "hunter2" not in text


def test_a_long_summary_is_cut_on_a_line(passed: Run) -> None:
    (first, *_) = known(passed.info.verdict).limits
    limit = first.model_copy(update={"status": "FAIL", "sentence": "no. " * 140})
    run = with_verdict(passed, limits=(limit,) * 500)
    assert "and 490 more in the report" in render_summary(build_page(run))
    many = [f"pattern.{i:04d}.{'x' * 150}" for i in range(300)]
    series = [s for s in passed.info.series[:1] for _ in many]
    info = run.info.model_copy(
        update={
            "series": [
                s.model_copy(update={"pattern": p}) for s, p in zip(series, many, strict=True)
            ]
        }
    )
    text = render_summary(build_page(replace(passed, info=info)))
    assert len(text) <= LONGEST + 60
    assert text.endswith("… cut; the report has the rest.\n")


def test_judged_growth_reaches_the_page(tmp_path: Path) -> None:
    run = judge(write_run(tmp_path / "r", seconds=20).path)
    limit = growth(known(run.info.verdict).limits[0], low=1.01, high=1.15)
    baseline = BaselineReference(name="v1", runs=("a",))
    page = build_page(with_verdict(run, limits=(limit,), baseline=baseline))
    assert page.has_changes
    row = next(r for r in page.rows if r.limits)
    assert (row.p99.change.text, row.p99.change_span) == ("+8.0%", "+1.0% to +15%")
    (name,) = {n for _, n in cases_of(render_junit(page)) if "baseline" in n}
    assert name.endswith("p99 of response time ≤ 1.2 × baseline")


def test_a_single_pattern_left_open_beside_its_baseline_is_not_called_inconclusive(
    tmp_path: Path,
) -> None:
    run = judge(write_run(tmp_path / "r", seconds=20).path)
    (first, *_) = known(run.info.verdict).limits
    limits = (
        first.model_copy(update={"status": "PASS"}),
        growth(first, status="INCONCLUSIVE", decides=False),
        growth(first, pattern="all patterns", status="PASS"),
    )
    page = build_page(with_verdict(run, status="PASS", limits=limits))
    assert next(row for row in page.rows if row.limits).status == "PASS"
    states = {
        name: type(case.result[0]) if case.result else None
        for (_, name), case in cases_of(render_junit(page)).items()
        if "baseline" in name
    }
    together = next(name for name in states if name.startswith("all patterns"))
    assert states.pop(together) is None
    assert list(states.values()) == [Skipped]
