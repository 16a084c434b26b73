"""The lock file of `loadtests targets up`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.errors import TargetError
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.supervisor import state as module
from loadtests.targets.supervisor.state import (
    SupervisorLock,
    find_supervisor,
    read_state,
    state_file,
    stop_supervisor,
    supervisors_elsewhere,
)

HERE = Endpoints(DynamoDBEndpoint("http://127.0.0.1:1"), PostgresEndpoint("postgresql://u:p@h/d"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"LOADTESTS_CACHE": str(tmp_path)}


@pytest.fixture
def lock(environ: dict[str, str]) -> Iterator[SupervisorLock]:
    lock = SupervisorLock(environ)
    yield lock
    lock.release()


def test_a_supervisor_is_found_while_it_holds_its_lock(environ: dict[str, str]) -> None:
    lock = SupervisorLock(environ)
    starting = read_state(environ)
    assert starting is not None
    assert starting.endpoints is None
    assert find_supervisor(environ) is None
    lock.announce(HERE)
    state = find_supervisor(environ)
    assert state is not None
    assert (state.pid, state.endpoints) == (os.getpid(), HERE)
    lock.release()
    assert read_state(environ) is None
    assert not list(Path(environ["LOADTESTS_CACHE"]).iterdir())


def test_only_its_owner_may_read_the_file(environ: dict[str, str], lock: SupervisorLock) -> None:
    lock.announce(HERE)
    assert state_file(environ).stat().st_mode & 0o077 == 0


def test_a_second_supervisor_is_refused_and_the_first_is_named(
    environ: dict[str, str], lock: SupervisorLock
) -> None:
    with pytest.raises(TargetError, match=f"already: process {os.getpid()} "):
        SupervisorLock(environ)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": "x"}'])
def test_a_file_that_nobody_holds_means_nothing_and_stays(
    environ: dict[str, str], content: str
) -> None:
    state_file(environ).write_text(content)
    assert read_state(environ) is None
    assert state_file(environ).read_text() == content


def test_an_earlier_stop_request_does_not_stop_a_later_supervisor(
    environ: dict[str, str],
) -> None:
    first = SupervisorLock(environ)
    state = read_state(environ)
    assert state is not None
    request = state_file(environ).with_suffix(".stop")
    request.write_text(state.token)
    assert first.should_stop()
    first.release()
    second = SupervisorLock(environ)
    request.write_text(state.token)  # of a `targets down` that comes too late
    assert not second.should_stop()
    second.release()


def test_a_supervisor_whose_file_was_deleted_stops(
    environ: dict[str, str], lock: SupervisorLock
) -> None:
    """Nobody could find it again: `rm -r` of the cache folder leaves no orphan."""
    assert not lock.should_stop()
    state_file(environ).unlink()
    assert lock.should_stop()


def test_a_supervisor_of_another_network_is_named_and_its_file_stays(
    environ: dict[str, str], lock: SupervisorLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.announce(HERE)
    monkeypatch.setattr(module, "namespace", lambda kind: f"{kind}:[of another container]")
    assert read_state(environ) is None
    (elsewhere,) = supervisors_elsewhere(environ)
    assert elsewhere.pid == os.getpid()
    other = SupervisorLock(environ)
    other.release()
    assert len(supervisors_elsewhere(environ)) == 1


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="cannot be written") as caught:
        SupervisorLock({"LOADTESTS_CACHE": str(tmp_path / "file" / "cache")})
    assert "LOADTESTS_CACHE" in caught.value.hint


def test_a_supervisor_that_cannot_be_killed_from_here_is_an_error(
    environ: dict[str, str], lock: SupervisorLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = read_state(environ)
    assert state is not None
    monkeypatch.setattr(module, "processes_with_open", lambda path: [])
    monkeypatch.setattr(module, "_KILL_TIMEOUT_S", 0.0)
    with pytest.raises(TargetError, match="did not stop within 0 s") as caught:
        stop_supervisor(environ, state, timeout_s=0.0)
    assert f"process {os.getpid()}" in caught.value.message
