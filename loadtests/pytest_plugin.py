"""The pytest plugin: ``pytest --benchmark`` runs the micro-benchmarks in ``bench/``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags of the micro-benchmarks."""
    group = parser.getgroup("loadtests", "CloudShelf micro-benchmarks")
    group.addoption(
        "--benchmark",
        action="store_true",
        dest="loadtests_benchmark",
        help="run the micro-benchmarks in bench/ instead of the tests",
    )
