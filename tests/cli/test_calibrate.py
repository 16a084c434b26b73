"""`loadtests calibrate`: what it refuses before it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import UsageError
from tests.cli.verbs import run_verb


def test_without_the_projects_scenario_nothing_is_started(tmp_path: Path) -> None:
    """In a project that installed the harness, Locust said that it could not run the scenario."""
    with pytest.raises(UsageError, match=r"runs scenarios/cart\.py, which is not in this folder"):
        run_verb("calibrate")
    assert list(tmp_path.iterdir()) == []
