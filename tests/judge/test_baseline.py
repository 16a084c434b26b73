from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Config, Gate, Slo
from loadtests.errors import ResultsError, UsageError
from loadtests.judge.baseline import (
    baseline_names,
    find_baseline,
    promote,
    read_baseline,
    read_promotion,
    refuse_baseline,
)
from loadtests.judge.judging import judge_run
from loadtests.measure.results import Run, Status, Verdict, read_run
from tests.known import known
from tests.run_folders import made_series, made_verdict, write_run

WHEN = "2026-03-02T10:00:00Z"
PASSED = made_verdict("PASS")


def a_run(
    path: Path,
    *,
    seed: int = 1,
    verdict: Verdict | None = PASSED,
    **settings: Any,
) -> Run:
    series = made_series(["cart.get"], rate_per_s=30.0)
    return write_run(path, series=series, seconds=12, seed=seed, verdict=verdict, **settings)


def promoted(tmp_path: Path, *runs: Run, **settings: Any) -> str | None:
    settings = {"name": None, "promoted_at": WHEN} | settings
    return promote([run.path for run in runs], tmp_path / "results", **settings)


def test_promoted_runs_come_back_whole(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"r{i}", seed=i) for i in range(3)]
    assert promoted(tmp_path, *runs) == "storefront"
    shutil.rmtree(tmp_path / "r0")
    found = read_baseline("storefront", tmp_path / "results")
    assert [run.info.id for run in found.runs] == ["r0", "r1", "r2"]
    assert found.runs[0].intervals == runs[0].intervals
    record = read_promotion("storefront", tmp_path / "results")
    assert (record.promoted_at, record.forced) == (WHEN, {})


def test_promoting_again_replaces(tmp_path: Path) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0"), a_run(tmp_path / "r1"), name="main")
    promoted(tmp_path, a_run(tmp_path / "r2"), name="main")
    assert [r.info.id for r in read_baseline("main", tmp_path / "results").runs] == ["r2"]
    assert baseline_names(tmp_path / "results") == ["main"]
    assert [p.name for p in (tmp_path / "results" / "baseline").iterdir()] == ["main"]


@pytest.mark.parametrize("status", ["FAIL", "INVALID", None])
def test_what_did_not_pass_is_promoted_only_by_force_with_a_reason_on_record(
    tmp_path: Path, status: Status | None
) -> None:
    run = a_run(tmp_path / "r0", verdict=made_verdict(status) if status else None)
    for settings in ({}, {"force": True}, {"reason": "because"}):
        with pytest.raises(ResultsError, match=f"r0 .{status or 'not judged'}"):
            promoted(tmp_path, run, **settings)
    assert baseline_names(tmp_path / "results") == []
    promoted(tmp_path, run, force=True, reason="new hardware")
    record = read_promotion("storefront", tmp_path / "results")
    assert record.forced == {"r0": status or "not judged"}
    assert record.reason == "new hardware"


def test_runs_made_otherwise_do_not_make_one_baseline(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / "r0"), a_run(tmp_path / "r1", environment={"kernel": "other"})]
    with pytest.raises(ResultsError, match=r"environment\.kernel"):
        promoted(tmp_path, *runs)


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "", "x" * 200])
def test_a_name_is_a_folders(tmp_path: Path, name: str) -> None:
    run = a_run(tmp_path / "r0")
    with pytest.raises(UsageError):
        promoted(tmp_path, replace(run), name=name or " ")


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "r0")
    with pytest.raises(UsageError, match="named twice"):
        promoted(tmp_path, run, run)


def test_a_failed_promotion_leaves_the_old_baseline(tmp_path: Path) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0"), name="main")
    broken = a_run(tmp_path / "r1")
    (broken.path / "latency.hlog").unlink()
    with pytest.raises(ResultsError, match=r"latency\.hlog is missing"):
        promoted(tmp_path, broken, name="main")
    assert [r.info.id for r in read_baseline("main", tmp_path / "results").runs] == ["r0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 9}', "schema_version 9"),
        ('{"promoted_at": ', "cut short"),
        ('{"promoted_at": "x", "runs": 3}', "field runs"),
        ("[]", "the whole file"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0"), name="main")
    (tmp_path / "results" / "baseline" / "main" / "baseline.json").write_text(text)
    with pytest.raises(ResultsError, match=message) as caught:
        read_baseline("main", tmp_path / "results")
    assert "baseline.json" in caught.value.message


def test_an_unknown_baseline_names_those_known(tmp_path: Path) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0"), name="main")
    with pytest.raises(ResultsError) as caught:
        read_baseline("mian", tmp_path / "results")
    assert "main" in caught.value.hint


def config(tmp_path: Path, baseline: str = "auto") -> Config:
    return Config(results=str(tmp_path / "results"), gate=Gate(baseline=baseline))


def test_the_baseline_made_alike_is_found_by_itself(tmp_path: Path) -> None:
    run = a_run(tmp_path / "new", seed=9)
    assert find_baseline(run, config(tmp_path)) is None
    promoted(tmp_path, a_run(tmp_path / "r0", environment={"kernel": "other"}), name="elsewhere")
    promoted(tmp_path, a_run(tmp_path / "r1"), name="here")
    assert known(find_baseline(run, config(tmp_path))).name == "here"
    assert find_baseline(run, config(tmp_path, "none")) is None
    named = find_baseline(run, config(tmp_path, "elsewhere"))
    with pytest.raises(ResultsError, match=r"environment\.kernel"):
        judge_run(run, Slo(), Gate(), named)


def test_a_baseline_without_its_runs_is_named_and_never_chosen(tmp_path: Path) -> None:
    """Somebody deleted the run folders of a baseline, but not its record."""
    run = a_run(tmp_path / "r0")
    promoted(tmp_path, run, name="emptied")
    for folder in list((tmp_path / "results").rglob("run.json")):
        shutil.rmtree(folder.parent)
    assert find_baseline(run, config(tmp_path)) is None
    with pytest.raises(ResultsError, match="emptied holds no runs"):
        find_baseline(run, config(tmp_path, "emptied"))
    with pytest.raises(ResultsError, match="emptied holds no runs"):
        refuse_baseline(config(tmp_path, "emptied"), run.info)


def test_where_only_unlike_ones_are_the_verdict_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path / "new", seed=9, config={"patterns": ["cart.get"]})
    promoted(
        tmp_path,
        a_run(tmp_path / "r0", environment={"kernel": "old"}, config={"patterns": ["cart.get"]}),
        name="elsewhere",
    )
    found = find_baseline(run, config(tmp_path))
    assert known(found).runs == ()
    verdict = judge_run(run, Slo(), Gate(), found)
    assert "Not compared with baseline elsewhere" in verdict.sentence
    kernel = run.info.environment.kernel
    assert known(verdict.baseline).refused == (f"environment.kernel: {kernel}, old",)
    assert not any(one.unit == "ratio" for one in verdict.limits)


def test_a_baseline_of_another_scenario_is_no_candidate(tmp_path: Path) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0", scenario="mine"))
    assert find_baseline(a_run(tmp_path / "new"), config(tmp_path)) is None


def test_a_baseline_that_lacks_a_series_is_named(tmp_path: Path) -> None:
    promoted(tmp_path, a_run(tmp_path / "r0"), name="main")
    file = tmp_path / "results" / "baseline" / "main" / "r0" / "run.json"
    raw = json.loads(file.read_text())
    raw["series"] = [one for one in raw["series"] if one["backend"] == "dynamodb"]
    file.write_text(json.dumps(raw))
    run = read_run(a_run(tmp_path / "new").path)
    with pytest.raises(ResultsError, match="drivers"):
        judge_run(run, Slo(), Gate(), read_baseline("main", tmp_path / "results"))


def test_a_run_that_passed_in_spite_of_delays_is_no_reference(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        series=made_series(["cart.get"]),
        seconds=3,
        valid=False,
        verdict=made_verdict("PASS"),
    )
    with pytest.raises(ResultsError, match="PASS, though its generator added delay"):
        promote([run.path], tmp_path, name="main", promoted_at="2026-03-02T09:30:00Z")
