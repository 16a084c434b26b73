"""Client configurations that decide latency in Lambda, warm and cold."""

import pytest

from loadtests.microbench.suites.specs import between_others, cold_clients, warm_clients


@pytest.mark.parametrize("spec", warm_clients(), ids=str)
def test_warm(measured, spec):
    measured(spec)


@pytest.mark.parametrize("spec", cold_clients(), ids=str)
def test_cold(measured, spec):
    measured(spec)


@pytest.mark.parametrize("spec", between_others(), ids=str)
def test_between(measured, spec):
    measured(spec)
