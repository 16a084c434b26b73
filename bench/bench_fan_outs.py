"""What a page needs, at once through the asyncio drivers and in turn through the others."""

import pytest

from loadtests.microbench.suites.specs import fan_outs


@pytest.mark.parametrize("spec", fan_outs(), ids=str)
def test_fan_out(measured, spec):
    measured(spec)
