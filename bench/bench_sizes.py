"""Carts of 1, 25 and 100 lines, read whole."""

from collections.abc import Callable

import pytest

from loadtests.microbench.suites.cases import Spec
from loadtests.microbench.suites.specs import cart_sizes


@pytest.mark.parametrize("spec", cart_sizes(), ids=str)
def test_size(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)
