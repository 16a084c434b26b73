"""Client configurations that decide latency in Lambda, warm and cold."""

from collections.abc import Callable

import pytest

from loadtests.microbench.suites.cases import Spec
from loadtests.microbench.suites.specs import between_others, cold_clients, warm_clients


@pytest.mark.parametrize("spec", warm_clients(), ids=str)
def test_warm(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)


@pytest.mark.parametrize("spec", cold_clients(), ids=str)
def test_cold(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)


@pytest.mark.parametrize("spec", between_others(), ids=str)
def test_between(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)
