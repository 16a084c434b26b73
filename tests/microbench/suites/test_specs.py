"""Every benchmark has its place and its name."""

from __future__ import annotations

from loadtests.microbench.suites.plans import FULL
from loadtests.microbench.suites.specs import (
    access_patterns,
    between_others,
    cart_sizes,
    cold_clients,
    fan_outs,
    warm_clients,
)
from loadtests.patterns import CLOUDSHELF_PATTERNS, DRIVERS

DRIVER_NAMES = {driver for drivers in DRIVERS.values() for driver in drivers}


def test_suites_cover_every_driver() -> None:
    assert {(spec.pattern, spec.driver) for spec in access_patterns()} == {
        (pattern, driver) for pattern in CLOUDSHELF_PATTERNS for driver in DRIVER_NAMES
    }
    for specs in (fan_outs(), cart_sizes(), between_others(), cold_clients()):
        assert {spec.driver for spec in specs} == DRIVER_NAMES


def test_every_benchmark_has_its_own_name_and_a_plan() -> None:
    specs = [
        *access_patterns(),
        *fan_outs(),
        *cart_sizes(),
        *warm_clients(),
        *cold_clients(),
        *between_others(),
    ]
    assert len({str(spec) for spec in specs}) == len({spec.series for spec in specs}) == len(specs)
    assert {spec.suite for spec in specs} == set(FULL.of_suite)
    assert all(spec.driver in DRIVERS[spec.backend] for spec in specs)
