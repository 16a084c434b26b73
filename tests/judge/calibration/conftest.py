"""One short recording for all tests of the calibration."""

from __future__ import annotations

import pytest

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.measure.results import Run
from tests.run_folders import made_series, write_run

SECONDS = 80


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    series = made_series(["cart.get", "cart.add"], rate_per_s=120.0, drift=0.05, tail_share=0.0)
    return write_run(tmp_path_factory.mktemp("recorded") / "run", series=series, seconds=SECONDS)


@pytest.fixture(scope="session")
def recording(run: Run) -> RecordedRun:
    return RecordedRun(run)
