"""Carts of 1, 25 and 100 lines, read whole."""

import pytest

from loadtests.microbench.suites.specs import cart_sizes


@pytest.mark.parametrize("spec", cart_sizes(), ids=str)
def test_size(measured, spec):
    measured(spec)
