"""Folders of the embedded databases: in memory or on disk, deleted by whoever outlives them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadtests.config import Data, PostgresStorage
from loadtests.errors import TargetError
from loadtests.targets.embedded import storage
from loadtests.targets.embedded.storage import open_folder, postgres_folder, sweep

HOLD = """
import sys
from contextlib import ExitStack
from pathlib import Path
from loadtests.targets.embedded.storage import open_folder
stack = ExitStack()
print(open_folder(stack, Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_deleted_with_its_lock(tmp_path: Path) -> None:
    with ExitStack() as stack:
        folder = open_folder(stack, tmp_path)
        (folder / "data").write_text("x")
        assert folder.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())


def test_what_a_living_process_holds_is_kept_and_what_a_killed_one_held_is_deleted(
    tmp_path: Path,
) -> None:
    process, folder = hold(tmp_path)
    try:
        (folder / "data").write_text("x")
        sweep(tmp_path)
        assert (folder / "data").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
        sweep(tmp_path)
        assert not list(tmp_path.iterdir())
    finally:
        process.kill()
        process.communicate()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("loadtests-targets-notes", "something-else"):
        (tmp_path / name).mkdir()
    (tmp_path / "target").write_text("x")
    (tmp_path / "loadtests-targets-link.lock").symlink_to(tmp_path / "target")
    before = sorted(tmp_path.iterdir())
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_opening_a_folder_sweeps_first(tmp_path: Path) -> None:
    process, left = hold(tmp_path)
    process.kill()
    process.communicate()
    with ExitStack() as stack:
        folder = open_folder(stack, tmp_path)
        assert folder.exists()
        assert not left.exists()


def test_no_folder_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be created below") as caught:
        open_folder(ExitStack(), tmp_path / "absent")
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("wanted", ["auto", "memory"])
def test_data_goes_to_memory_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: PostgresStorage
) -> None:
    monkeypatch.setattr(storage, "MEMORY", tmp_path)
    monkeypatch.setattr(storage, "room_in_memory_bytes", lambda: 8 << 30)
    with ExitStack() as stack:
        folder = postgres_folder(stack, wanted, Data())
        assert folder
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 64 << 20])
def test_without_room_it_stays_on_disk_unless_memory_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(storage, "room_in_memory_bytes", lambda: room)
    with ExitStack() as stack:
        assert postgres_folder(stack, "auto", Data()) is None
        assert postgres_folder(stack, "disk", Data()) is None
        with pytest.raises(TargetError, match=f"{room >> 20} MiB in /dev/shm av") as caught:
            postgres_folder(stack, "memory", Data())
    assert "postgres_storage" in caught.value.hint


def test_without_room_anywhere_one_sentence_names_each_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "room_in_memory_bytes", lambda: 64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=63 << 20))
    with pytest.raises(TargetError, match="64 MiB in /dev/shm and 63 MiB in /") as caught:
        postgres_folder(ExitStack(), "auto", Data())
    assert "TMPDIR" in caught.value.hint
    assert "--shm-size" in caught.value.hint


def test_no_folder_for_temporary_files_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    with pytest.raises(TargetError, match="no folder for temporary files") as caught:
        open_folder(ExitStack())
    assert "TMPDIR" in caught.value.hint


def test_more_data_needs_more_room() -> None:
    needed = [storage.room_needed_bytes(Data(users=users)) for users in (1, 2_000, 1_000_000)]
    assert needed == sorted(needed)
    assert needed[0] >= 512 << 20
    assert needed[-1] > 8 << 30


def test_a_missing_or_closed_memory_folder_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MEMORY", tmp_path / "absent")
    assert storage.room_in_memory_bytes() == 0
    monkeypatch.setattr(storage, "MEMORY", tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert storage.room_in_memory_bytes() == 0
