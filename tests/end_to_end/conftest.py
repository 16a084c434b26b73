"""What the end-to-end tests share: settings for small data, and a way to start programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.children import ROOT, Children


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with the sizes that the session's databases were seeded with, and no others."""
    config = tmp_path_factory.mktemp("config") / "loadtests.toml"
    config.write_text("[data]\nusers = 200\nbooks = 60\n")
    inherited = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("LOADTESTS_") or k == "LOADTESTS_CACHE"
    }
    return inherited | {
        "LOADTESTS_CONFIG": str(config),
        "PYTHONPATH": str(ROOT / "scenarios"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


@pytest.fixture
def children(tmp_path: Path, environ: dict[str, str]) -> Iterator[Children]:
    """Starts processes; they end with the test."""
    with ExitStack() as stack:
        yield Children(environ, tmp_path / "results", stack)
