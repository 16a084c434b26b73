"""What a page needs: concurrent through asyncio drivers, sequential through the others."""

from collections.abc import Callable

import pytest

from loadtests.microbench.suites.cases import Spec
from loadtests.microbench.suites.specs import fan_outs


@pytest.mark.parametrize("spec", fan_outs(), ids=str)
def test_fan_out(measured: Callable[[Spec], None], spec: Spec) -> None:
    measured(spec)
