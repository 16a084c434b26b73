from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from loadtests.cli.report import command
from loadtests.errors import ResultsError, UsageError
from loadtests.judge.history import ChangePoint
from loadtests.measure.results import Run
from loadtests.report.comparison import build_comparison
from loadtests.report.figures import history as history_module
from loadtests.report.figures.history import read_past
from loadtests.report.formats.terminal import terminal_table
from loadtests.report.sides import compare_pages
from tests.known import known
from tests.report.conftest import judge
from tests.run_folders import made_series, write_run

PATTERNS = ["cart.get", "cart.add"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three runs of a results folder: two alike, and one whose DynamoDB takes twice as long."""
    folder = tmp_path_factory.mktemp("results")
    runs = []
    for number, factor in enumerate((1.0, 1.0, 2.0)):
        series = [
            replace(s, median_ms=s.median_ms * (factor if s.backend == "dynamodb" else 1.0))
            for s in made_series(PATTERNS, drift=0.03, tail_share=0.0)
        ]
        path = folder / f"20260302T09300{number}Z-storefront-{number}"
        started = f"2026-03-02T09:30:0{number}Z"
        write_run(path, series=series, seconds=60, seed=number, started_at=started)
        runs.append(judge(path))
    return runs


def test_runs_are_held_against_the_first(results: list[Run]) -> None:
    a, b, c = compare_pages(results)
    assert [s.letter for s in (a, b, c)] == ["A", "B", "C"]
    assert c.sentence == (
        "C against A: p50 slower for 2, faster for none, undecided for 2 of 4; "
        "p99 slower for 2, faster for none, undecided for 2 of 4."
    )
    one = c.page.series[0]
    assert known(c.row(one, "p50")).ratio == pytest.approx(2.0, rel=0.1)
    assert b.counts("p50")[0] + b.counts("p50")[1] <= 1
    assert not b.differs


def test_a_comparison_report_is_written(results: list[Run], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    written = build_comparison(results, folder)
    assert written[0] == folder / "comparison.html"
    html = written[0].read_text()
    assert "3 runs of storefront compared" in html
    assert "What differed" not in html
    assert (folder / "charts/ratios.png").exists()
    text = (folder / "comparison.md").read_text()
    assert "| cart.get | DynamoDB |" in text


def test_differing_conditions_are_named(results: list[Run], tmp_path: Path) -> None:
    environment = results[1].info.environment.model_copy(update={"kernel": "Linux 7"})
    info = results[1].info.model_copy(update={"environment": environment})
    other = replace(results[1], info=info)
    build_comparison([results[0], other], tmp_path)
    html = (tmp_path / "comparison.html").read_text()
    assert "What differed" in html
    assert f"environment.kernel: {results[0].info.environment.kernel}, Linux 7" in html


def test_runs_with_nothing_in_common_are_said_to_be(results: list[Run], tmp_path: Path) -> None:
    other = write_run(tmp_path / "s", series=made_series(["session.get"]), seconds=10)
    (_, side) = compare_pages([results[0], other])
    assert side.sentence.startswith("B cannot be compared with A: ")
    build_comparison([results[0], other], tmp_path / "out")


def test_one_run_is_no_comparison(results: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two different runs"):
        build_comparison([results[0], results[0]], tmp_path)


def test_the_verb_rebuilds_one_and_compares_several(results: list[Run], tmp_path: Path) -> None:
    run = results[0].path
    done = CliRunner().invoke(command, [str(run)], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"Report: {run / 'report.html'}" in done.output.replace("\n", "")
    assert (run / "series.csv").exists()
    out = tmp_path / "c"
    names = [str(r.path) for r in results[:2]]
    done = CliRunner().invoke(command, [*names, "--output", str(out)], catch_exceptions=False)
    assert (out / "comparison.html").exists()
    done = CliRunner().invoke(command, [str(run), "--output", str(out)])
    assert done.exit_code == 2
    with pytest.raises(ResultsError, match="is not a run folder"):
        CliRunner().invoke(command, [str(tmp_path)], catch_exceptions=False)


def test_history_is_the_valid_runs_up_to_this_one(results: list[Run]) -> None:
    found = known(read_past(results[1], "response_time"))
    assert found.started == ("2026-03-02T09:30:00Z", "2026-03-02T09:30:01Z")
    assert "at least 8 runs" in found.note
    key = next(k for k, name in found.values if (k.backend, k.pattern) == ("dynamodb", "cart.get"))
    series = next(s for s in results[1].info.series if s.key(key.metric) == key)
    p99 = known(series.response_time_ms).p99
    assert found.values[key, "p99"][-1] == p99
    assert read_past(results[0], "response_time") is None


def test_history_leaves_out_what_cannot_be_read_or_does_not_count(
    results: list[Run], tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    for number, one in enumerate(("valid", "invalid", "other", "this")):
        write_run(
            folder / f"2026030{number + 1}T000000Z-{one}",
            series=made_series(PATTERNS),
            seconds=5,
            started_at=f"2026-03-0{number + 1}T00:00:00Z",
            valid=one != "invalid",
            scenario="cart" if one == "other" else "storefront",
        )
    (folder / "20260301T000001Z-broken").mkdir()
    (folder / "20260301T000001Z-broken/run.json").write_text("{")
    run = judge(folder / "20260304T000000Z-this")
    found = known(read_past(run, "response_time"))
    assert found.started == ("2026-03-01T00:00:00Z", "2026-03-04T00:00:00Z")


def test_change_points_are_marked_where_they_can_be_found(
    results: list[Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    for number in range(9):
        path = folder / f"2026030{number + 1}T000000Z-x"
        started = f"2026-03-0{number + 1}T00:00:00Z"
        write_run(path, series=made_series(PATTERNS), seconds=4, started_at=started)
    run = judge(path)
    point = ChangePoint(4, 0.21)
    monkeypatch.setattr(history_module, "can_find_change_points", lambda: True)
    monkeypatch.setattr(history_module, "change_points", lambda values: [point])
    found = known(read_past(run, "response_time"))
    assert set(found.changes.values()) == {(point,)}
    done = CliRunner().invoke(command, [str(run.path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "p99 +21%" in (run.path / "charts/history.svg").read_text()


def shown(run: Run, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(width=width, no_color=True, file=out)
    console.print(terminal_table(run))
    return out.getvalue()


def test_the_terminal_table_fits_80_columns(failed: Run) -> None:
    text = shown(failed)
    lines = [line for line in text.splitlines() if line.startswith((" cart.", " session."))]
    assert len(lines) == 9
    assert "…" not in "\n".join(lines)
    add = next(line for line in lines if "cart.add" in line)
    assert add.split()[3] == "PASS"
    assert add.split()[6] == "FAIL"
    assert "target p99 10 ms" in text
    assert "FAIL: " in text


def test_the_terminal_table_of_an_unjudged_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", series=made_series(PATTERNS, rate_per_s=20.0), seconds=5)
    text = shown(run)
    assert "too few" in text
    assert "This run has not been judged." in text
