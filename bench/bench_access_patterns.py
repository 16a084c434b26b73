"""Every access pattern through every driver, one call at a time."""

import pytest

from loadtests.microbench.suites.specs import access_patterns


@pytest.mark.parametrize("spec", access_patterns(), ids=str)
def test_call(measured, spec):
    measured(spec)
