"""On which machines a run counts."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from loadtests.measure.health.probes import COLUMNS, HealthRow
from loadtests.measure.histogram import Counts
from loadtests.microbench.machine.checks import MachineEvidence, check_machine, clock_step_ns
from tests.microbench.fakes import MS


def health(**figures: object) -> HealthRow:
    plain: dict[str, object] = {
        **dict.fromkeys(COLUMNS, 0),
        "worker": "benchmark",
        "host_steal": 0.0,
        "pressure_cpu": 0.2,
        "gc_pause_max_ms": 3.0,
    }
    return HealthRow(**cast("dict[str, Any]", plain | figures))


def rules(evidence: MachineEvidence) -> list[str]:
    _, validity = check_machine(evidence)
    assert validity.valid is not bool(validity.reasons)
    assert all(reason.remedy for reason in validity.reasons)
    return [reason.rule for reason in validity.reasons]


def waits(*pairs: tuple[float, int]) -> Counts:
    return np.repeat([int(ms * MS) for ms, _ in pairs], [n for _, n in pairs]).astype(np.int64)


def test_a_run_on_a_quiet_machine_counts() -> None:
    assert (
        rules(MachineEvidence(cpu_wait_ns=waits((0.01, 9_990), (1.5, 10)), rows=[health()])) == []
    )


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (MachineEvidence(cpu_wait_ns=waits((0.01, 997), (5.1, 3))), ["late calls"]),
        (MachineEvidence(cpu_wait_ns=waits((0.01, 980), (2.1, 20))), ["CPU wait p99"]),
        (MachineEvidence(cpu_wait_ns=waits((0.6, 600), (0.0, 400))), ["CPU wait p50"]),
        (MachineEvidence(cpu_wait_ns=waits((0.0, 1_000)), clock_step_ns=2_000), ["clock"]),
        (
            MachineEvidence(cpu_wait_ns=waits((0.0, 1_000)), rows=[health(host_steal=0.2)]),
            ["stolen CPU"],
        ),
    ],
)
def test_a_machine_that_distorts_the_times_is_named(
    evidence: MachineEvidence, rule: list[str]
) -> None:
    assert rules(evidence) == rule


@pytest.mark.parametrize(
    "evidence",
    [
        MachineEvidence(cpu_wait_ns=waits((0.01, 9_976), (5.1, 24))),  # below 0.25%
        MachineEvidence(cpu_wait_ns=waits((0.0, 990), (1.9, 10))),
        MachineEvidence(cpu_wait_ns=waits((0.4, 1_000))),
        MachineEvidence(cpu_wait_ns=waits((0.0, 10)), rows=[health(host_steal=0.05)]),
        MachineEvidence(
            cpu_wait_ns=waits((0.0, 10)), rows=[health(gc_pause_max_ms=80.0, pressure_cpu=0.9)]
        ),
    ],
)
def test_what_stays_within_the_limits(evidence: MachineEvidence) -> None:
    assert rules(evidence) == []


def test_an_unknown_wait_for_a_cpu_is_stated() -> None:
    signals, validity = check_machine(
        MachineEvidence(cpu_wait_ns=None, rows=[health(host_steal=None, pressure_cpu=None)])
    )
    assert validity.valid
    assert signals[0].value is None
    assert "does not tell" in signals[0].text


def test_the_clock_of_this_machine_has_steps() -> None:
    assert clock_step_ns() > 0
