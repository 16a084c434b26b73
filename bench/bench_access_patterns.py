"""Every access pattern through every driver, one call at a time."""

from collections.abc import Callable

import pytest

from loadtests.microbench.suites.cases import Spec
from loadtests.microbench.suites.specs import access_patterns


@pytest.mark.parametrize("spec", access_patterns(), ids=str)
def test_call(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)
