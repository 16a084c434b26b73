"""A lock tells what is alive; its file tells who that is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.targets.locks import (
    LockHolder,
    LockTakenError,
    processes_with_open,
    read_if_held,
    take,
)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = take(path)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(LockTakenError) as caught:
        take(path, wait_s=0.0)
    assert caught.value.holder == LockHolder.of(read_if_held(path) or {})
    lock.release()
    take(path, wait_s=0.0).release(delete=True)
    assert not path.exists()


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert read_if_held(path) is None
    assert not path.exists()
    lock = take(path)
    lock.write({"token": "long"})
    lock.write({"token": "x"})
    content = path.read_bytes()
    state = read_if_held(path)
    assert state is not None
    assert (state["token"], state["pid"]) == ("x", os.getpid())
    lock.release()
    assert read_if_held(path) is None
    assert path.read_bytes() == content


def test_a_lock_ends_with_its_holder_whatever_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, pathlib, loadtests.targets.locks as locks\n"
        "lock = locks.take(pathlib.Path(sys.argv[1]))\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        assert processes_with_open(path) == [holder.pid]
        content = read_if_held(path)
        assert content is not None
        assert content["pid"] == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    assert read_if_held(path) is None
    assert path.exists()


def test_a_wait_names_the_holder_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = take(path)
    waits: list[LockHolder | None] = []
    with pytest.raises(LockTakenError, match=f"process {os.getpid()} "):
        take(path, wait_s=0.7, on_wait=waits.append)
    assert [wait.pid for wait in waits if wait] == [os.getpid()]
    lock.release()


def test_a_deleted_lock_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = take(path)
    assert lock.is_in_place()
    path.unlink()
    assert not lock.is_in_place()
    other = take(path)
    lock.release(delete=True)
    assert path.exists()  # it is the other one's
    other.release()


def test_no_lock_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="lock"):
        take(tmp_path / "lock")
    assert (tmp_path / "target").read_text() == "x"


def test_a_holder_of_another_namespace_is_said_to_be_elsewhere() -> None:
    here = LockHolder.this_process()
    assert here.is_visible
    assert "another container" not in str(here)
    there = LockHolder(
        pid=7, command="loadtests", since="today", host="3f2a", pid_namespace="pid:[1]"
    )
    assert not there.is_visible
    assert str(there) == (
        "process 7 of another container or machine (3f2a) (loadtests, since today)"
    )
