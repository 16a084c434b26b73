from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from loadtests.cli.subjects.checkouts import read_checkout

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="Git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@needs_git
def test_a_checkout_has_a_commit_and_may_be_modified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet")
    package = tmp_path / "shop"
    package.mkdir()
    (package / "carts.py").write_text("LIMIT = 1\n")
    assert read_checkout(package) is None, "no commit yet"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    (package / "new.pyc").touch()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))  # as in a hook
    checkout = read_checkout(package)
    monkeypatch.delenv("GIT_DIR")
    assert checkout
    assert (checkout.commit, checkout.modified) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (package / "carts.py").write_text("LIMIT = 2\n")
    changed = read_checkout(package)
    assert changed
    assert (changed.commit, changed.modified) == (checkout.commit, True)


def test_a_folder_without_git_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_checkout(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_checkout(Path.cwd()) is None, "Git is not installed"
