"""`loadtests gate`: what runs in which order, and how the verdicts of several runs become one."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtests.cli import gate, root
from loadtests.cli.runs import closing
from loadtests.errors import LoadtestsError, ResultsError, UsageError
from loadtests.judge.judging import worst_status
from loadtests.measure.run_folder import point_latest
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import Progress
from tests.run_folders import made_series, write_run

FAST = {"drift": 0.0, "tail_share": 0.0, "rate_per_s": 200.0}
SLOW = {**FAST, "median_ms": 30.0}


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_access_patterns.py").touch()


@pytest.fixture(autouse=True)
def draw(monkeypatch):
    """Reports are empty files, but where a test calls this."""

    def empty(path):
        (path / "report.html").touch()
        return [path / "report.html"]

    drawn = closing.build_reports
    monkeypatch.setattr(closing, "build_reports", empty)
    return lambda: monkeypatch.setattr(closing, "build_reports", drawn)


def run_gate(*arguments):
    """Exit code and output; raises the harness's own errors, with the output so far as a note."""
    result = CliRunner().invoke(root, ["gate", *map(str, arguments)], standalone_mode=False)
    if isinstance(result.exception, LoadtestsError):
        result.exception.add_note(result.output)
        raise result.exception
    assert result.exception is None, result.output
    return result.return_value, result.output


def a_run(path, *, seconds=30, scenario="cart+session", valid=True, **changes):
    series = [replace(one, **changes) for one in made_series(["cart.get"])]
    owed = {"patterns": ["cart.get"]}
    return write_run(
        path, series=series, seconds=seconds, scenario=scenario, valid=valid, config=owed
    ).path


@pytest.fixture
def stage(monkeypatch):
    """The gate's children as actors; `stage.order` is what was called."""
    return Stage(monkeypatch)


class Stage:
    def __init__(self, monkeypatch):
        self.order, self.load, self.micro, self.broken = [], FAST, FAST, None
        stage = self

        @contextmanager
        def opened(config, backends, on_progress):
            stage.order.append(("open", *backends))
            yield Endpoints()
            stage.order.append("closed")

        class Child:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                stage.order.append("ended")

        class Locust(Child):
            def __init__(self, config, endpoints, scenarios, run_id, users, processes):
                stage.order.append("load")
                path = config_path(config, run_id)
                a_run(path, **stage.load)
                point_latest(path)

            def running(self):
                return False

            def finish(self):
                pass

        class Micro(Child):
            def __init__(self, config, endpoints, run_id, *, quick):
                stage.order.append("micro quick" if quick else "micro")
                path = config_path(config, run_id)
                self._left = [Progress("Measuring access patterns", n, 2) for n in range(3)]
                a_run(path, scenario="micro", **stage.micro)
                point_latest(path)

            def running(self):
                return bool(self._left)

            def progress(self):
                if self._left:
                    yield self._left.pop(0)

            def finish(self, path):
                if stage.broken:
                    raise stage.broken

        ids = itertools.count()
        monkeypatch.setattr(gate, "open_endpoints", opened)
        monkeypatch.setattr(gate, "LocustProcess", Locust)
        monkeypatch.setattr(gate, "MicroProcess", Micro)
        monkeypatch.setattr(gate, "new_run_id", lambda scenario: f"{next(ids)}-{scenario}")
        monkeypatch.setattr(gate.Screen, "wait", lambda self, seconds: None)
        monkeypatch.setattr(
            gate, "seed_again", lambda config, endpoints, on_progress: self.order.append("seed")
        )


def config_path(config, run_id):
    return Path(config.results).absolute() / run_id


def test_the_load_alone_unless_asked_otherwise(stage):
    code, said = run_gate()
    assert (code, stage.order) == (0, [("open", "dynamodb", "postgres"), "load", "ended", "closed"])
    assert "Verdicts" not in said
    assert said.rstrip().endswith("Exit code 0 (PASS)")


@pytest.mark.parametrize(
    ("arguments", "form"),
    [(["--micro"], "micro"), (["--micro", "quick", "--backend", "dynamodb"], "micro quick")],
)
def test_both_follow_one_another_on_the_same_databases_as_seeded(stage, arguments, form):
    code, said = run_gate(*arguments)
    assert code == 0, said
    assert stage.order[1:] == ["load", "ended", "seed", form, "ended", "closed"]
    assert "Measuring access patterns" in said


def test_one_table_and_one_code_for_both(stage, tmp_path, draw):
    draw()
    stage.micro = SLOW
    code, said = run_gate("--micro")
    assert code == 1
    closing = said[said.index("Verdicts") :]
    assert "PASS" in closing
    assert "FAIL" in closing
    assert closing.rstrip().endswith("Exit code 1 (FAIL)")
    for name in ("0-cart+session", "1-micro"):
        for file in ("summary.md", "junit.xml", "report.html"):
            assert (tmp_path / "results" / name / file).exists()


def test_latest_is_the_load_run(stage, tmp_path):
    _, said = run_gate("--micro")
    assert (tmp_path / "results" / "latest").resolve().name == "0-cart+session"
    assert "results/latest/report.html" in said


def test_the_file_and_the_environment_may_ask_for_it_and_the_flag_may_refuse(
    stage, tmp_path, monkeypatch
):
    (tmp_path / "loadtests.toml").write_text('[gate]\nmicro = "full"\n')
    run_gate()
    assert "micro" in stage.order
    stage.order.clear()
    run_gate("--micro", "off")
    assert "micro" not in stage.order
    monkeypatch.setenv("LOADTESTS_MICRO", "quick")
    run_gate()
    assert "micro quick" in stage.order


def test_what_was_measured_is_judged_also_when_the_benchmarks_break_down(stage, tmp_path):
    stage.broken = ResultsError("The micro-benchmarks ended with code 3 and no results.")
    with pytest.raises(ResultsError, match="code 3") as caught:
        run_gate("--micro")
    assert "Report: results/latest/report.html" in caught.value.__notes__[0]
    assert stage.order[-1] == "closed"


def test_micro_is_refused_where_nothing_is_there_to_run(stage, tmp_path):
    (tmp_path / "bench" / "bench_access_patterns.py").unlink()
    with pytest.raises(UsageError, match="no bench/"):
        run_gate("--micro")
    assert stage.order == []
    with pytest.raises(UsageError, match="judges what has run"):
        run_gate("--micro", "full", a_run(tmp_path / "r0"))


def test_a_named_baseline_is_the_load_runs(stage, tmp_path):
    promoting = ["baseline", "promote", str(a_run(tmp_path / "r0", **FAST)), "--name", "main"]
    CliRunner().invoke(root, [*promoting, "--force", "--reason", "for a test"])
    (tmp_path / "loadtests.toml").write_text('[gate]\nbaseline = "main"\nmicro = "full"\n')
    code, said = run_gate()
    assert code in {0, 1, 3}, said
    assert "Verdicts" in said


def test_finished_runs_are_judged_together(tmp_path):
    passed = a_run(tmp_path / "a", **FAST)
    failed = a_run(tmp_path / "b", **SLOW)
    unknown = a_run(tmp_path / "c", seconds=1, **{**FAST, "rate_per_s": 20.0})
    invalid = a_run(tmp_path / "d", valid=False, **FAST)
    assert [run_gate(one)[0] for one in (passed, failed, unknown, invalid)] == [0, 1, 3, 4]
    assert run_gate(passed, unknown)[0] == 3
    assert run_gate(unknown, invalid, passed)[0] == 4
    code, said = run_gate(invalid, failed)
    assert code == 1
    assert "Exit code 1 (FAIL)" in said


def test_the_worst_status_stands_for_all():
    order = ["FAIL", "INVALID", "INCONCLUSIVE", "PASS"]
    for i, one in enumerate(order):
        for other in order[i:]:
            assert worst_status([one, other]) == worst_status([other, one]) == one
    with pytest.raises(ValueError, match="empty"):
        worst_status([])
