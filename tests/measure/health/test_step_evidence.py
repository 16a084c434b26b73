"""The generator judged step by step: by the run's own rules, on each step's own seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.step_evidence import StepEvidence
from loadtests.measure.histogram import Sparse
from loadtests.measure.results import StepInfo
from loadtests.measure.series import SeriesName, SeriesPart
from loadtests.patterns import METRICS
from tests.known import known
from tests.measure.streams import closing, end, opening, row, scribe

MS = 1_000_000


def plan(*rates: float, backend: str = "dynamodb", begin_s: int = 2) -> list[StepInfo]:
    """Steps of 4 s, the first second of each not counted."""
    return [
        StepInfo(
            backend=backend,
            rate_per_s=rate,
            begin_s=begin_s + 4 * n,
            measure_from_s=begin_s + 4 * n + 1,
            end_s=begin_s + 4 * n + 4,
        )
        for n, rate in enumerate(rates)
    ]


def second(
    at_s: float, worker: str = "generator", late_ms: float = 0.1, **changes: Any
) -> tuple[HealthRow, GeneratorDelays]:
    """A second's row and the generator's own times in it."""
    late = GeneratorDelays(*[Sparse.of(np.full(100, int(late_ms * MS))) for _ in range(2)])
    figures = {f"{kind}_{q}_ms": None for kind in ("dispatch_delay", "event_loop_delay")
               for q in ("p50", "p99", "max")}  # fmt: skip
    return HealthRow(**row(worker, time_s=at_s) | figures | changes), late


def part(errors: int = 0, backend: str = "dynamodb") -> SeriesPart:
    counts = {metric: Sparse.of(np.full(100, 2 * MS)) for metric in METRICS}
    return SeriesPart(
        SeriesName(backend, "wire", "cart.get"),
        False,
        counts,
        {"Refused": errors} if errors else {},
    )


def seen(steps: StepEvidence, seconds: list[int] | range, **changes: Any) -> None:
    for at_s in seconds:
        steps.add(*second(float(at_s), **changes), [part()])


def test_a_step_has_its_counted_seconds_and_no_other() -> None:
    steps = StepEvidence(plan(100, 200), ["generator"])
    seen(steps, range(12))
    assert [step.offered for step in steps.infos()] == [300, 300]
    assert steps.judge()[1].valid


def test_a_generator_that_gives_out_spoils_its_step_alone() -> None:
    steps = StepEvidence(plan(100, 200, 400), ["generator"])
    seen(steps, range(6))
    seen(steps, range(6, 10), process_cpu=0.99)
    seen(steps, range(10, 14), late_ms=20.0)
    valid = [step.validity and step.validity.valid for step in steps.infos()]
    assert valid == [True, False, False]
    found = steps.infos()[1]
    assert [reason.rule for reason in known(found.validity).reasons] == ["generator CPU"]
    assert found.generator_cpu == pytest.approx(0.99)
    signals, validity = steps.judge()
    assert validity.valid  # of the run as a whole
    assert all(signal.ok for signal in signals)


def test_settling_seconds_may_be_as_bad_as_they_like() -> None:
    steps = StepEvidence(plan(100, 200), ["generator"])
    for at_s in range(10):
        settling = at_s in (2, 6)
        steps.add(*second(float(at_s), late_ms=50.0 if settling else 0.1), [part()])
    assert all(known(step.validity).valid for step in steps.infos())


def test_a_climb_of_which_no_step_counts_is_invalid() -> None:
    steps = StepEvidence(plan(100, 200), ["generator"])
    seen(steps, range(12), process_cpu=0.99)
    _, validity = steps.judge()
    assert not validity.valid
    assert [reason.rule for reason in validity.reasons] == ["generator CPU"]


def test_before_its_first_counted_second_nothing_has_begun() -> None:
    steps = StepEvidence(plan(100), ["generator"])
    seen(steps, range(3))
    assert not steps.begun
    assert not steps.judge()[1].valid
    seen(steps, [3])
    assert steps.begun


def test_users_are_enough_for_the_steps_own_rate() -> None:
    """20 users serve 1,000/s at 10 ms a call; at 2,000/s too few were given."""
    steps = StepEvidence(plan(900, 2_000), ["generator"])
    seen(steps, range(12), users=20, queued=50)
    assert [known(step.validity).valid for step in steps.infos()] == [True, False]
    assert [r.rule for r in known(steps.infos()[1].validity).reasons] == ["free users"]


def test_a_slow_database_spoils_no_step() -> None:
    steps = StepEvidence(plan(100), ["generator"])
    seen(steps, range(8), users=20, queued=100, behind_ms=2_500.0, in_flight=20, free_users_min=0)
    (step,) = steps.infos()
    assert known(step.validity).valid
    assert step.unfinished == 20 + 250  # under way, and 2.5 s of arrivals at 100/s


def test_what_is_unfinished_is_read_at_the_steps_last_second() -> None:
    steps = StepEvidence(plan(100, 200), ["generator"])
    seen(steps, range(3, 5), in_flight=50)
    seen(steps, [5], in_flight=3)
    seen(steps, [6], in_flight=70)
    assert steps.infos()[0].unfinished == 3


def test_workers_are_added_up_and_judged_by_the_worst() -> None:
    steps = StepEvidence(plan(1_000), ["worker 1", "worker 2"])
    seen(steps, range(8), worker="worker 1", in_flight=2)
    seen(steps, range(8), worker="worker 2", in_flight=3, behind_ms=10.0, process_cpu=0.8)
    (step,) = steps.infos()
    assert step.offered == 600
    assert step.unfinished == 2 + 3 + 5  # worker 2 has half the arrivals
    assert step.generator_cpu == pytest.approx(0.8)


def test_a_lost_worker_spoils_every_step_that_had_not_ended_and_the_run() -> None:
    steps = StepEvidence(plan(100, 200), ["worker 1", "worker 2"])
    for worker in ("worker 1", "worker 2"):
        seen(steps, range(6), worker=worker)
    steps.lose("worker 2", 6.0)
    seen(steps, range(6, 10), worker="worker 1")
    assert [known(step.validity).valid for step in steps.infos()] == [True, False]
    _, validity = steps.judge()
    assert [reason.rule for reason in validity.reasons] == ["lost worker"]


def test_a_steps_figures_outlive_what_they_were_made_from() -> None:
    steps = StepEvidence(plan(100, 200), ["generator"])
    seen(steps, range(6))
    before = steps.infos()[0]
    seen(steps, [60])
    assert steps.infos()[0] == before
    assert steps.judge()[1].valid


def test_errors_are_counted_by_step_and_backend() -> None:
    steps = StepEvidence(plan(100), ["generator"])
    steps.add(*second(3.0), [part(errors=2), part(errors=9, backend="postgres")])
    steps.add(*second(2.0), [part(errors=7)])
    assert steps.infos()[0].errors == {"Refused": 2}


def test_the_scribe_keeps_steps_in_the_run_folder_and_does_not_condemn_the_run(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    seconds = [
        closing(
            n,
            dispatch_delays_ns=[MS // 10] * 100,
            process_cpu=0.99 if n >= 6 else 0.3,
            warm_up=n < 2,
        )
        for n in range(11)
    ]
    scribe(opening(path, steps=plan(100, 200)) + b"".join(seconds) + end())
    info = json.loads((path / "run.json").read_text())
    assert [step["validity"]["valid"] for step in info["steps"]] == [True, False]
    assert info["validity"]["valid"]
    assert all(signal["ok"] for signal in info["health"]["signals"])
