"""What reports say of stalls of the machine and of the calls that they left undisturbed."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.errors import ResultsError
from loadtests.measure.results import Reason, Run, Validity
from loadtests.measure.stalls.record import read_stalls
from loadtests.report.charts.timeline import MOST_TICKS, tick_times_s
from loadtests.report.figures.stalls import basis_words, stalls_sentence
from loadtests.report.formats.junit import render_junit
from loadtests.report.formats.markdown import render_summary
from loadtests.report.formats.prometheus import render_prometheus
from loadtests.report.formats.series_csv import render_csv
from loadtests.report.formats.terminal import terminal_summary
from loadtests.report.opening import notes_of
from loadtests.report.page import build_page
from loadtests.report.sections import sections_of
from tests.report.conftest import judge
from tests.run_folders import made_series, made_stalls, made_verdict, write_run

STARTS_S = [float(second) + 0.25 for second in range(5, 15)]


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ten of forty measured seconds have a stall, each of which leaves out half of its calls."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-storefront-stalled"
    series = made_series(tail_share=0.0, drift=0.05, sigma=0.2, rate_per_s=100.0)
    write_run(path, series=series, seconds=40, warm_up_s=4, stalls=made_stalls(STARTS_S))
    return judge(path)


def terminal(run: Run, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(terminal_summary(run))
    return out.getvalue()


def test_the_share_left_out_is_that_of_the_calls(stalled: Run) -> None:
    assert build_page(stalled).left_out == pytest.approx(1 / 8, abs=0.02)
    assert basis_words(0.07) == "on 93% of calls, undisturbed by the machine"
    assert basis_words(0.0004) == "on 99.96% of calls, undisturbed by the machine"


def test_the_terminal_shows_three_figures_within_80_columns(stalled: Run) -> None:
    text = terminal(stalled)
    row = build_page(stalled).rows[0]
    assert row.p99.undisturbed.known
    assert row.p99.undisturbed.text.removesuffix(" ms") in text
    assert "p99*" in text
    assert "of calls, undisturbed by the machine" in text
    assert "…" not in text


def test_a_quiet_run_says_nothing_of_calls_left_out(passed: Run) -> None:
    page = build_page(passed)
    for text in (terminal(passed), render_summary(page), render_prometheus(page)):
        assert "undisturbed" not in text
        assert "p99*" not in text


def test_summary_and_files_hold_all_undisturbed_and_share(stalled: Run) -> None:
    page = build_page(stalled)
    assert "undisturbed by the machine" in render_summary(page)
    assert b"undisturbed by the machine" in render_junit(page)
    metrics = render_prometheus(page)
    assert re.search(r"^cloudshelf_loadtest_left_out_ratio\{[^}]*\} 0\.1", metrics, re.MULTILINE)
    assert "cloudshelf_loadtest_undisturbed_response_time_seconds{" in metrics
    rows = list(csv.DictReader(io.StringIO(render_csv(page))))
    first = rows[0]
    assert 0 < int(first["undisturbed_calls"]) < int(first["calls"])
    assert float(first["left_out"]) == pytest.approx(
        1 - int(first["undisturbed_calls"]) / int(first["calls"]), abs=1e-4
    )


def test_stalls_are_ticks_under_the_time_charts(stalled: Run) -> None:
    page = build_page(stalled)
    assert tick_times_s(page.stalls) == tuple(STARTS_S)
    (over_time,) = (section for section in sections_of(page) if section.anchor == "over-time")
    for chart in over_time.charts:
        assert "stall of the machine" in [entry.label for entry in chart.legend]


def test_the_number_of_ticks_is_bounded_and_the_longest_are_drawn() -> None:
    short = made_stalls([float(second) for second in range(2 * MOST_TICKS)], length_ms=2.0)
    long = made_stalls([0.5], length_ms=9.0)
    ticks_s = tick_times_s([*short, *long])
    assert len(ticks_s) == MOST_TICKS
    assert 0.5 in ticks_s
    assert tick_times_s([replace(stall, used=False) for stall in long]) == ()


def test_the_trust_section_names_meter_dead_time_share_and_throttling(stalled: Run) -> None:
    text = stalls_sentence(stalled.info.stalls)
    for words in ("real-time hiccup meter", ": 10, the longest 4.00 ms", "Dead time", "left out"):
        assert words in text
    (section,) = (s for s in sections_of(build_page(stalled)) if s.anchor == "validity")
    assert text in section.paragraphs


@pytest.mark.parametrize(
    "row",
    [
        "generator,0,1.0,4.0,realtime",
        "generator,0,1.0,-4.0,realtime,1",
        "generator,0,nan,4.0,realtime,1",
        "generator,0,1.0,4.0,sundial,1",
        "generator,x,1.0,4.0,realtime,1",
        "generator,0,1.0,4.0,realtime,1,x",
        "generator,0,1.0,4.0,realtime,1,2,3",
    ],
)
def test_a_malformed_row_of_stalls_is_refused_by_its_line(
    stalled: Run, tmp_path: Path, row: str
) -> None:
    good = (stalled.path / "stalls.csv").read_text(encoding="utf-8")
    path = tmp_path / "stalls.csv"
    path.write_text(good, encoding="utf-8")
    assert len(read_stalls(path)) == len(STARTS_S)
    path.write_text(f"{good}{row}\n", encoding="utf-8")
    with pytest.raises(ResultsError, match=f"line {len(STARTS_S) + 2} "):
        read_stalls(path)


def test_a_row_cut_short_by_a_crash_is_left_out(stalled: Run, tmp_path: Path) -> None:
    path = tmp_path / "stalls.csv"
    good = (stalled.path / "stalls.csv").read_text(encoding="utf-8")
    path.write_text(f"{good}generator,0,1.", encoding="utf-8")
    assert len(read_stalls(path)) == len(STARTS_S)
    assert read_stalls(tmp_path / "none.csv") == []


def reasons(rules_out: str) -> Validity:
    return Validity.model_validate(
        {
            "valid": False,
            "reasons": [
                Reason(rule="late dispatches", found="9% were late.", remedy="Use fewer calls.")
                .model_copy(update={"rules_out": rules_out})
                .model_dump()
            ],
        }
    )


def test_an_invalid_run_is_a_sentence_the_reasons_and_what_to_do(stalled: Run) -> None:
    verdict = made_verdict("INVALID", sentence="INVALID: late dispatches: 9% were late.")
    assert stalled.info.verdict
    limits = tuple(
        limit.model_copy(update={"status": "INVALID", "sentence": f"{limit.pattern} INVALID."})
        for limit in stalled.info.verdict.limits
    )
    info = stalled.info.model_copy(
        update={
            "validity": reasons("every verdict"),
            "verdict": verdict.model_copy(update={"limits": limits}),
        }
    )
    run = replace(stalled, info=info)
    for text in (terminal(run), render_summary(build_page(run))):
        assert text.count("INVALID") == 1
        assert "This run does not count: late dispatches." in text
        assert "9% were late." in text
        assert "Use fewer calls." in text
        assert len(text.splitlines()) < 20


def test_added_delay_is_no_reason_against_limits_that_hold(stalled: Run) -> None:
    info = stalled.info.model_copy(
        update={"validity": reasons("FAIL"), "verdict": made_verdict("PASS")}
    )
    notes = " ".join(notes_of(build_page(replace(stalled, info=info))))
    assert "a limit that is met in spite of it is met" in notes
    assert "INVALID" not in notes
