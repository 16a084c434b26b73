"""The two sources of settings beside flags, read strictly: a TOML file and the environment.

A setting that was given and cannot be used is an error, never ignored: a file that was named and is
not there, a `LOADTESTS_…` variable that means nothing, an empty variable, a number with a unit.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from loadtests.errors import DEBUG_VARIABLE, ConfigError

FILE_NAME: Final = "loadtests.toml"
PREFIX: Final = "LOADTESTS_"
CONFIG_VARIABLE: Final = "LOADTESTS_CONFIG"
# variables of the user's that are no settings; docs/SETTINGS.md shows the texts
OTHER_VARIABLES: Final[Mapping[str, str]] = {
    CONFIG_VARIABLE: f"The settings file to read instead of {FILE_NAME}; as `--config`.",
    "LOADTESTS_CACHE": "Folder for downloads and for what `targets up` notes.",
    DEBUG_VARIABLE: "Set to 1, it shows the trace of an internal error; as `--debug`.",
}
# what one process of the harness passes to another
INTERNAL_VARIABLES: Final = frozenset(
    {
        "LOADTESTS_ENDPOINTS",
        "LOADTESTS_RUN_ID",
        "LOADTESTS_REHEARSAL",
        "LOADTESTS_SERVED_SUBJECT",
        "LOADTESTS_SUBJECT_FACTS",
        "LOADTESTS_SUBJECT_TREE",
        "LOADTESTS_PROGRESS_FD",
    }
)
_MOST_BYTES: Final = 1_000_000
_SPELLED_ALMOST: Final = re.compile(r"(?i)LOAD_?TESTS?_+(.+)")
# Kubernetes sets such variables in every container beside a service that is called `loadtests`
_OF_A_SERVICE: Final = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?"
)
_ENCODINGS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as read; `sha256` is empty where there is none."""

    path: Path
    values: dict[str, object] = field(default_factory=dict)
    sha256: str = ""


def named_file(environ: Mapping[str, str]) -> Path | None:
    """The settings file that the user named, by `--config` or the variable; None for none."""
    named = environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def read_settings_file(path: Path, *, must_exist: bool) -> SettingsFile:
    """Read a TOML file. Raises ConfigError, also for a missing file where it must exist."""
    try:
        text, digest = _read_text(path)
        values = tomllib.loads(text)
    except FileNotFoundError:
        if not must_exist and not path.is_symlink():
            return SettingsFile(path)
        raise ConfigError(
            f"The settings file {path}",
            ["does not exist" if not path.is_symlink() else "is a link that leads nowhere"],
            hint=f"Correct the path that --config or {CONFIG_VARIABLE} names, or leave it out."
            if must_exist
            else "Remove the link, or correct it.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = str(error) if not isinstance(error, RecursionError) else "is nested too deeply"
        raise ConfigError(str(path), [problem], hint="Correct that line.") from None
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(str(path), [f"cannot be read: {problem}"], hint=_HINT_READ) from None
    return SettingsFile(path, values, digest)


_HINT_READ: Final = "Name a TOML file that this user may read."


def _read_text(path: Path) -> tuple[str, str]:
    """The file's text, and its SHA-256. Raises OSError, ValueError, UnicodeDecodeError."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "it is a folder", str(path))
    if not stat.S_ISREG(mode) and path != Path("/dev/null"):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it is longer than {_MOST_BYTES:,} bytes")
    for mark, name in _ENCODINGS:
        if content.startswith(mark):
            raise ValueError(f"it is {name}; save it as UTF-8")
    if b"\0" in content[:4]:
        raise ValueError("it is UTF-16 or no text; save it as UTF-8")
    # a UTF-8 byte order mark, as Windows editors write it, changes no setting
    return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()


def variable_problems(environ: Mapping[str, str], settings: Collection[str]) -> Iterator[str]:
    """What is wrong with the names of `LOADTESTS_…` variables, and which are empty.

    `settings` are the variables of all settings.
    """
    known = {*settings, *OTHER_VARIABLES, *INTERNAL_VARIABLES}
    for name in sorted(environ):
        if name in known:
            if name not in INTERNAL_VARIABLES and not environ[name].strip():
                yield f"{name}: is empty; unset it, or give it a value"
            continue
        almost = _SPELLED_ALMOST.fullmatch(name)
        if almost is None or _OF_A_SERVICE.fullmatch(name):
            continue
        meant = PREFIX + almost[1].upper()
        if meant in known:
            yield f"{name}: no such variable; did you mean {meant}?"
        elif name.upper().startswith(PREFIX):
            close = get_close_matches(meant, sorted(known - INTERNAL_VARIABLES), 1, 0.7)
            yield f"{name}: no such variable" + (f"; did you mean {close[0]}?" if close else "")


def parse_text(text: str, kind: type) -> object:
    """The value of a variable's or flag's text; the text itself where it is none."""
    plain = text.strip()
    try:
        if kind is int:
            return int(plain) if re.fullmatch(r"[+-]?[0-9]+", plain) else text
        if kind is float:
            return text if "_" in plain else float(plain)
    except ValueError:
        return text
    if kind is bool and plain.lower() in _TRUE | _FALSE:
        return plain.lower() in _TRUE
    return text


def has_unit(text: str) -> bool:
    """Whether a text is a number with a unit behind it, such as `10s` or `300/s`."""
    return re.fullmatch(r"[+-]?[0-9][0-9_.,]*\s*[A-Za-zµ/%]{1,12}", text.strip()) is not None
