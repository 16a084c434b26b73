"""The warm-up's backlog: what is left when measuring begins, and whether it drains."""

from __future__ import annotations

import pytest

from loadtests.measure.health.backlog import BACKLOG_LIMIT_MS, GONE_MS
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.validity import judge_validity
from tests.measure.health.test_validity import NO_FIGURES, NONE
from tests.measure.streams import row


def evidence_of(
    warm_up_ms: list[float], measured_ms: list[float], *, pressure_cpu: float = 0.1
) -> GeneratorEvidence:
    """One worker's seconds, each with the age of its oldest waiting arrival at its end."""
    evidence = GeneratorEvidence(rate_per_s={"generator": 100.0})
    for second, behind_ms in enumerate([*warm_up_ms, *measured_ms]):
        described = row("generator", time_s=float(second)) | NO_FIGURES
        figures = {"behind_ms": behind_ms, "pressure_cpu": pressure_cpu}
        health = HealthRow(**described | figures)
        if second < len(warm_up_ms):
            evidence.add_warm_up(health)
        else:
            evidence.add(health, GeneratorDelays(NONE, NONE))
    return evidence


def signal_of(evidence: GeneratorEvidence) -> Signal:
    return next(s for s in judge_validity(evidence)[0] if s.name == "warm-up backlog")


def test_a_backlog_that_leaks_into_the_measured_part_is_said() -> None:
    evidence = evidence_of([0, 4_000, 9_500], [8_000, 4_000, 0, 0])
    signal = signal_of(evidence)
    assert not signal.ok
    assert signal.text == (
        "The warm-up left generator a backlog of 9.5 s when measuring began; it took 3 s to drain."
    )
    assert "warm-up backlog" in [reason.rule for reason in judge_validity(evidence)[1].reasons]


def test_a_load_that_is_not_sustained_is_a_result_and_no_excuse() -> None:
    signal = signal_of(evidence_of([0, 4_000, 9_500], [10_000, 10_500, 11_000]))
    assert signal.ok
    assert "never gone" in signal.text


@pytest.mark.parametrize(("initial_ms", "ok"), [(BACKLOG_LIMIT_MS, True), (501, False)])
def test_a_short_backlog_does_not_matter(initial_ms: float, ok: bool) -> None:
    assert signal_of(evidence_of([9_500, initial_ms], [GONE_MS, 5_000])).ok is ok


def test_a_saturated_machine_is_named_as_the_likely_cause() -> None:
    saturated = signal_of(evidence_of([9_500], [0], pressure_cpu=0.84))
    assert "saturated (pressure 84%), the likely cause" in saturated.text
    assert "saturated" not in signal_of(evidence_of([9_500], [0])).text
    assert "saturated" not in signal_of(evidence_of([0], [0], pressure_cpu=0.84)).text


def test_a_run_without_warm_up_has_no_such_signal() -> None:
    signals, _ = judge_validity(evidence_of([], [0, 0]))
    assert "warm-up backlog" not in [signal.name for signal in signals]
