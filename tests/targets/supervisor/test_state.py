"""The state file of `loadtests targets up`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.supervisor.state import (
    find_supervisor,
    remove_state,
    state_file,
    write_state,
)

HERE = Endpoints(DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:p@h/d"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"LOADTESTS_CACHE": str(tmp_path)}


def test_a_supervisor_is_found_by_its_running_process(environ: dict[str, str]) -> None:
    write_state(environ, HERE)
    state = find_supervisor(environ)
    assert state is not None
    assert (state.pid, state.endpoints) == (os.getpid(), HERE)
    remove_state(environ)
    assert find_supervisor(environ) is None


def test_only_its_owner_may_read_the_file(environ: dict[str, str]) -> None:
    write_state(environ, HERE)
    assert state_file(environ).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", [{"created": 12.5}, {"pid": 2**22 + 1}, {"endpoints": None}])
def test_a_stale_state_is_removed(environ: dict[str, str], change: dict[str, object]) -> None:
    write_state(environ, HERE)
    path = state_file(environ)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert find_supervisor(environ) is None
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": "x"}'])
def test_a_damaged_state_is_removed(environ: dict[str, str], content: str) -> None:
    state_file(environ).write_text(content)
    assert find_supervisor(environ) is None
    assert not state_file(environ).exists()
