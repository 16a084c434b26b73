"""`loadtests gate`: what runs in which order, and how the verdicts of several runs become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from loadtests.cli.runs.children import Children
from loadtests.cli.runs.factories import FactoryAnswer
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.preflight import refuse_without_benchmarks
from loadtests.cli.subjects import settling
from loadtests.config import Config
from loadtests.errors import LoadtestsError, ResultsError, UsageError
from loadtests.judge.baseline import promote
from loadtests.judge.judging import worst_status
from loadtests.measure.results import Status, read_run
from loadtests.measure.run_folder import point_latest, require_results_folder
from loadtests.report import build
from loadtests.report.build import build_reports
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress
from tests.cli.verbs import SLOW_MS, run_verb, write_gate_run


@pytest.fixture(autouse=True)
def benchmarks(tmp_path: Path) -> Path:
    """The file that the micro-benchmarks would run."""
    path = tmp_path / "bench" / "bench_access_patterns.py"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture(autouse=True)
def draw(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Reports are empty files, except where a test calls this."""

    def write_empty(path: Path) -> list[Path]:
        (path / "report.html").touch()
        return [path / "report.html"]

    monkeypatch.setattr(build, "build_reports", write_empty)
    return lambda: monkeypatch.setattr(build, "build_reports", build_reports)


class Actor:
    """A child that has done its work as soon as it is started."""

    def __init__(
        self, order: list[object], *, progress: list[Progress], error: LoadtestsError | None
    ):
        self._order = order
        self._progress = progress
        self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._order.append("ended")

    def running(self) -> bool:
        return bool(self._progress)

    def progress(self) -> Iterator[Progress]:
        if self._progress:
            yield self._progress.pop(0)

    def finish(self, path: Path | None = None) -> None:
        if self._error:
            raise self._error

    def end_of_output(self) -> str:
        return ""


class Stage:
    """A gate's children as actors; `order` is what was started, in order."""

    def __init__(self) -> None:
        self.order: list[object] = []
        self.micro_median_ms: float | None = None
        self.micro_error: LoadtestsError | None = None

    def gate(self, *arguments: object) -> tuple[int, str]:
        children = Children(
            check_run=self._check_run,
            open_endpoints=self._open,
            seed_again=self._seed_again,
            load=self._load,
            micro=self._micro,
            pause=lambda _: None,
        )
        return run_verb("gate", *arguments, children=children)

    def _check_run(self, config: Config, plan: LoadPlan, /, *, micro: bool = False) -> None:
        require_results_folder(Path(config.results))
        if micro:
            refuse_without_benchmarks()

    @contextmanager
    def _open(
        self,
        config: Config,
        backends: tuple[str, ...],
        /,
        *,
        on_progress: OnProgress,
        probe: Callable[[Endpoints], None] | None = None,
    ) -> Iterator[Endpoints]:
        self.order.append(("open", *backends))
        yield Endpoints()
        self.order.append("closed")

    def _seed_again(
        self, config: Config, endpoints: Endpoints, /, *, on_progress: OnProgress
    ) -> None:
        self.order.append("seed")

    def _load(self, config: Config, endpoints: Endpoints, plan: LoadPlan, run_id: str) -> Actor:
        self.order.append("load")
        point_latest(write_gate_run(Path(config.results).absolute() / run_id))
        return Actor(self.order, progress=[], error=None)

    def _micro(self, config: Config, endpoints: Endpoints, run_id: str, *, quick: bool) -> Actor:
        self.order.append("micro quick" if quick else "micro")
        path = Path(config.results).absolute() / run_id
        point_latest(write_gate_run(path, scenario="micro", median_ms=self.micro_median_ms))
        steps = [Progress("Measuring access patterns", done, 2) for done in range(3)]
        return Actor(self.order, progress=steps, error=self.micro_error)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_load_alone_unless_asked_otherwise(stage: Stage) -> None:
    code, output = stage.gate()
    assert (code, stage.order) == (0, [("open", "dynamodb", "postgres"), "load", "ended", "closed"])
    assert "Verdicts" not in output
    assert output.rstrip().endswith("Exit code 0 (PASS)")


@pytest.mark.parametrize(
    ("arguments", "form"),
    [(["--micro"], "micro"), (["--micro", "quick", "--backend", "dynamodb"], "micro quick")],
)
def test_both_follow_one_another_on_the_same_databases_as_seeded(
    stage: Stage, arguments: list[str], form: str
) -> None:
    code, output = stage.gate(*arguments)
    assert code == 0, output
    assert stage.order[1:] == ["load", "ended", "seed", form, "ended", "closed"]
    assert "Measuring access patterns" in output


def test_one_table_and_one_code_for_both(
    stage: Stage, tmp_path: Path, draw: Callable[[], None]
) -> None:
    draw()
    stage.micro_median_ms = SLOW_MS
    code, output = stage.gate("--micro")
    assert code == 1
    table = output[output.index("Verdicts") :]
    assert "PASS" in table
    assert "FAIL" in table
    assert table.rstrip().endswith("Exit code 1 (FAIL)")
    for scenario in ("cart+session", "micro"):
        for file in ("summary.md", "junit.xml", "report.html"):
            assert len(list((tmp_path / "results").glob(f"2*-{scenario}-*/{file}"))) == 1


def test_latest_is_the_load_run(stage: Stage, tmp_path: Path) -> None:
    _, output = stage.gate("--micro")
    assert "-cart+session-" in (tmp_path / "results" / "latest").resolve().name
    assert "results/latest/report.html" in output


def test_the_file_and_the_environment_may_ask_for_it_and_the_flag_may_refuse(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadtests.toml").write_text('[gate]\nmicro = "full"\n')
    stage.gate()
    assert "micro" in stage.order
    stage.order.clear()
    stage.gate("--micro", "off")
    assert "micro" not in stage.order
    monkeypatch.setenv("LOADTESTS_MICRO", "quick")
    stage.gate()
    assert "micro quick" in stage.order


def test_what_was_measured_is_judged_also_when_the_benchmarks_break_down(
    stage: Stage, tmp_path: Path
) -> None:
    stage.micro_error = ResultsError("The micro-benchmarks ended with code 3 and no results.")
    with pytest.raises(ResultsError, match="code 3") as caught:
        stage.gate("--micro")
    assert "Report: results/latest/report.html" in caught.value.__notes__[0]
    assert stage.order[-1] == "closed"


def test_micro_is_refused_where_nothing_is_there_to_run(
    stage: Stage, tmp_path: Path, benchmarks: Path
) -> None:
    benchmarks.unlink()
    with pytest.raises(UsageError, match="no bench/"):
        stage.gate("--micro")
    assert stage.order == []
    with pytest.raises(UsageError, match="judges what has run"):
        stage.gate("--micro", "full", write_gate_run(tmp_path / "r0"))


def test_a_named_baseline_is_the_load_runs(stage: Stage, tmp_path: Path) -> None:
    baseline = write_gate_run(tmp_path / "r0")
    promote(
        [baseline],
        tmp_path / "results",
        name="main",
        promoted_at="2026-03-02T10:00:00Z",
        force=True,
        reason="for a test",
    )
    (tmp_path / "loadtests.toml").write_text('[gate]\nbaseline = "main"\nmicro = "full"\n')
    code, output = stage.gate()
    assert code == 0, output
    runs = [read_run(path).info for path in sorted((tmp_path / "results").glob("2*"))]
    names = {
        run.scenario: run.verdict.baseline.name if run.verdict and run.verdict.baseline else None
        for run in runs
    }
    assert names == {"cart+session": "main", "micro": None}


def test_finished_runs_are_judged_together(stage: Stage, tmp_path: Path) -> None:
    passed = write_gate_run(tmp_path / "a")
    failed = write_gate_run(tmp_path / "b", median_ms=SLOW_MS)
    unknown = write_gate_run(tmp_path / "c", seconds=1, rate_per_s=20.0)
    invalid = write_gate_run(tmp_path / "d", valid=False, median_ms=SLOW_MS)
    assert [stage.gate(run)[0] for run in (passed, failed, unknown, invalid)] == [0, 1, 3, 4]
    assert stage.gate(passed, unknown)[0] == 3
    assert stage.gate(unknown, invalid, passed)[0] == 4
    code, output = stage.gate(invalid, failed)
    assert code == 1
    assert "Exit code 1 (FAIL)" in output
    assert stage.order == []


def test_a_load_that_leaves_no_run_folder_is_an_error_with_locusts_last_output(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_load", lambda *_: Actor(stage.order, progress=[], error=None))
    with pytest.raises(ResultsError, match="Locust wrote no run folder"):
        stage.gate()
    assert stage.order[-1] == "ended"


def test_the_worst_status_stands_for_all() -> None:
    order: list[Status] = ["FAIL", "INVALID", "INCONCLUSIVE", "PASS"]
    for place, worse in enumerate(order):
        for other in order[place:]:
            assert worst_status([worse, other]) == worst_status([other, worse]) == worse
    with pytest.raises(ValueError, match="empty"):
        worst_status([])


def test_a_gate_against_a_base_judges_what_is_here(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes: the folder's code is only compared with, at the gate's own rate."""
    (tmp_path / "old").mkdir()
    monkeypatch.setattr(
        settling,
        "confirm_clients",
        lambda config, texts, **_: FactoryAnswer([f"dynamodb/{text}" for text in texts]),
    )
    started: list[tuple[Config, LoadPlan]] = []
    load = stage._load

    def record(config: Config, endpoints: Endpoints, plan: LoadPlan, run_id: str) -> Actor:
        started.append((config, plan))
        return load(config, endpoints, plan, run_id)

    monkeypatch.setattr(stage, "_load", record)
    stage.gate("--against", "old", "--driver", "shop.carts:make")
    ((config, plan),) = started
    assert stage.order[0] == ("open", "dynamodb")
    assert (
        config.load.subjects == "base=old:dynamodb/shop.carts:make head=.:dynamodb/shop.carts:make"
    )
    assert config.load.rate == Config().load.rate
    assert [(each.name, each.tree, each.info.judged) for each in plan.subjects] == [
        ("base", str(tmp_path / "old"), False),
        ("head", str(tmp_path), True),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "old"], "wire is the harness's"),
        (["--python", "base=/x"], "--python needs --against"),
        (["--against", "old", "--driver", "shop:make"], "there is no folder old"),
    ],
)
def test_what_a_gate_against_a_base_needs(stage: Stage, arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stage.gate(*arguments)
    assert stage.order == []
