"""Cells under injected stalls: which stalls were seen, when a cell is right, how it is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from loadtests.calibrate import noise
from loadtests.calibrate.cells import CellPlan, MeasuredScript
from loadtests.calibrate.figures import QUANTILES
from loadtests.calibrate.ground_truth import GroundTruth
from loadtests.calibrate.machine_stalls import MachineStalls
from loadtests.calibrate.noise import MATCH_NS, NoisyCell, measure_noisy_cell, seen
from loadtests.calibrate.server.memory import OTHER
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.tables import noise_markdown
from loadtests.cli import calibrate as verb
from loadtests.errors import EXIT_FAIL, EXIT_INVALID, EXIT_PASS, TargetError
from loadtests.measure.results import MonotonicClock, Run
from loadtests.measure.stalls.windows import Stall
from tests.calibrate.test_stall_injector import realtime

MS = 1_000_000


def figures(value: float) -> dict[str, float]:
    return dict.fromkeys(QUANTILES, value)


CELL = NoisyCell(
    script="constant",
    rate_per_s=100.0,
    calls=1_000,
    left_out=0.3,
    true_ms=figures(2.0),
    all_ms=figures(9.0),
    undisturbed_ms=figures(2.3),
    round_trip_ms=figures(0.1),
    injected=50,
    seen=49,
    generator_cpu=0.1,
)


def stall(due_ns: int, length_ns: int, cpu: int = 0) -> Stall:
    return Stall(cpu, due_ns, due_ns, length_ns)


def test_a_stall_is_seen_on_its_own_cpu_and_at_its_end() -> None:
    injected = [stall(0, 5 * MS), stall(20 * MS, 5 * MS), stall(40 * MS, 5 * MS, cpu=1)]
    late = stall(MS, 4 * MS + MATCH_NS)  # the meter was due 1 ms after the stall's start
    assert seen(injected, [late]).tolist() == [True, False, False]
    too_late = stall(MS, 4 * MS + MATCH_NS + 1)
    short = stall(25 * MS - MS // 2, MS // 2)
    other_cpu = stall(40 * MS, 5 * MS)
    assert not seen(injected, [too_late, short, other_cpu]).any()
    assert not seen(injected, []).any()
    assert seen([], [late]).tolist() == []


def test_undisturbed_calls_decide() -> None:
    assert CELL.right
    assert not CELL.within("p99", CELL.all_ms)
    assert not replace(CELL, undisturbed_ms=figures(2.36)).right
    assert not replace(CELL, undisturbed_ms=figures(1.64)).right


def test_a_run_without_any_verdict_and_a_busy_generator_are_not_judged() -> None:
    assert CELL.excuse == ""
    assert replace(CELL, invalid="too few users").excuse == "too few users"
    assert replace(CELL, generator_cpu=0.51).excuse == "the generator used 51% of a core"
    assert "not judged" in noise_markdown([replace(CELL, generator_cpu=0.51)])


def test_the_table_shows_all_three() -> None:
    rows = noise_markdown([CELL]).splitlines()
    assert rows[2] == "| constant | 100 | 30% | p50 | 2.00 | 9.00 | 2.30 | ✓ |"
    assert "✗" in noise_markdown([replace(CELL, undisturbed_ms=figures(3.0))])


def measured(truth: GroundTruth, stalls: list[Stall], trips: list[list[int]]) -> MeasuredScript:
    run = Run.__new__(Run)  # the truth does not look at the run
    return MeasuredScript(
        run=run,
        clock=MonotonicClock(origin=0, end=1_000 * MS),
        since_ns=0,
        truth=truth,
        round_trips=trips,
        stalls=MachineStalls("realtime", stalls, stalls),
    )


def test_the_truth_is_selected_by_arrival_and_not_by_duration() -> None:
    arrival = np.array([100, 200, 300, 301, 400]) * MS
    took = np.array([2, 150, 90, 2, 2]) * MS  # the second call was under way during the stall
    code = np.array([0, 0, 0, OTHER, OTHER])
    truth = GroundTruth(code=code, arrival_ns=arrival, due_ns=arrival, done_ns=arrival + took)
    trips = [[301 * MS, 304 * MS], [400 * MS, 403 * MS]]
    run = measured(truth, [stall(302 * MS, 5 * MS)], trips)
    disturbed = run.stalls.disturbed()
    true_ns = noise._true_ns(SCRIPTS["constant"], 100.0, run, disturbed)
    assert true_ns.tolist() == [2 * MS, 150 * MS]
    assert noise._round_trips_ns(run, disturbed).tolist() == [MS]  # sent beside no stall


@pytest.mark.slow
@realtime
def test_a_cell_runs_under_real_injected_stalls() -> None:
    """How many of them are seen depends on the machine's load: `make bench-noise` measures that."""
    plan = CellPlan(warm_up_s=1.0, measured_s=3.0, conventional_s=0.0)
    cell = measure_noisy_cell(SCRIPTS["constant"], 100.0, plan, 0.05, seed=1)
    assert cell.injected >= 10
    assert 0 <= cell.seen <= cell.injected
    assert 0 <= cell.left_out <= 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, EXIT_PASS),
        ({"undisturbed_ms": figures(3.0)}, EXIT_FAIL),
        ({"invalid": "too few users"}, EXIT_INVALID),
    ],
)
def test_exit_code(
    changes: dict[str, object], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    shares = []

    def measure(*args: object, **kwargs: object) -> NoisyCell:
        shares.append(args[3])
        return replace(CELL, **changes)  # type: ignore[arg-type]

    monkeypatch.setattr(verb, "measure_noisy_cell", measure)
    arguments = ["--noise", "5%", "--script", "constant", "--rate", "100"]
    result = CliRunner().invoke(
        verb.command, [*arguments, "--results", str(tmp_path)], standalone_mode=False
    )
    assert result.return_value == code, result.output
    assert shares == [0.05]
    assert "98.0% of 50 injected stalls" in result.output


@pytest.mark.parametrize("share", ["0", "51%", "five", "nan"])
def test_a_share_that_cannot_be_injected_is_refused(share: str) -> None:
    result = CliRunner().invoke(verb.command, ["--noise", share])
    assert result.exit_code == 2
    assert "is no share" in result.output


def test_without_the_real_time_class_it_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    def refuse(*_: object, **__: object) -> NoisyCell:
        raise TargetError("Stalls cannot be injected.")

    monkeypatch.setattr(verb, "measure_noisy_cell", refuse)
    arguments = ["--noise", "0.05", "--results", str(tmp_path)]
    with pytest.raises(TargetError, match="cannot be injected"):
        CliRunner().invoke(verb.command, arguments, standalone_mode=False, catch_exceptions=False)
