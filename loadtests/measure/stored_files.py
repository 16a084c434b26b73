"""Reads files that another machine may have written, and says in words what is wrong with them.

A run folder travels: through artifact stores, archives and copies. A FIFO in it would block its
reader for ever, and a device or a sparse file would fill the memory. So files are regular and of a
bounded size, and JSON files have a schema version.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from pydantic import BaseModel, ValidationError

from loadtests.errors import ResultsError

Record = TypeVar("Record", bound=BaseModel)

LARGEST_BYTES: Final = 1 << 28
LARGEST_NUMBER: Final = 1 << 63
_DEEPEST: Final = 60
LARGEST_FILE_BYTES: Final = 1 << 30
_LONGEST_POINTER: Final = 400
# control, surrogate and direction characters; a terminal or an editor would obey them
_NOT_PRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb]"
)
_LONGEST_FIELD: Final = 200


def read_record(
    file: Path,
    kind: type[Record],
    newest: int,
    missing: ResultsError,
    *,
    upgrade: Callable[[dict[str, object]], dict[str, object]] | None = None,
) -> Record:
    """The file as `kind`, of schema version `newest` or older.

    `upgrade` turns the data of older versions into that of the newest. Control characters in texts
    are replaced. Raises `missing` when the file does not exist, ResultsError naming the file and
    field at fault when it is damaged or of a later version.
    """
    try:
        with open_stored(file, LARGEST_BYTES) as stream:
            content = stream.read(LARGEST_BYTES)
        raw = _checked(json.loads(content))
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file} is cut short or damaged: {_cause(error)}.") from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > newest:
        raise ResultsError(
            f"{file} has schema_version {version}; this version reads up to {newest}.",
            hint="Update cloudshelf-loadtests.",
        )
    if upgrade and isinstance(raw, dict):
        raw = upgrade(raw)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:_LONGEST_FIELD] or "the whole file"
        raise ResultsError(f"{file}: field {field}: {first['msg']}.") from None


def _checked(value: object, depth: int = 0) -> object:
    """The same data with printable texts. Raises ValueError for what no writer writes."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict | list) and depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        return {printable(name): _checked(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_checked(part, depth + 1) for part in value]
    # infinite ones are left to the model, which names the field
    if isinstance(value, int | float) and LARGEST_NUMBER < abs(value) < math.inf:
        raise ValueError("it holds a number beyond 2^63")
    return value


def _cause(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"it is nested more than {_DEEPEST} deep"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def open_stored(path: Path, largest_bytes: int = LARGEST_FILE_BYTES) -> BinaryIO:
    """Open a file for reading. Raises OSError, ResultsError unless it is regular and not larger."""
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115
    status = os.fstat(file.fileno())
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "is not a regular file"
    elif status.st_size > largest_bytes:
        problem = f"has {status.st_size:,} bytes; at most {largest_bytes:,} are read"
    if problem:
        file.close()
        raise ResultsError(f"{path} {problem}.", hint="Take the run folder from its source again.")
    return file


def printable(text: str) -> str:
    """The text with `�` for each control, surrogate and direction character; it keeps lines."""
    return text if text.isprintable() else _NOT_PRINTABLE.sub("�", text)


def followed(path: Path) -> Path:
    """The folder that `path` leads to: a pointer file holds the name of a folder beside it.

    `results/latest` is such a file where links cannot be made, and after a checkout without links.
    """
    try:
        if not path.is_file():
            return path
        with open_stored(path, _LONGEST_POINTER) as file:
            name = file.read().decode().strip()
    except (OSError, ValueError, ResultsError):
        return path
    is_name = name not in {"", ".", ".."} and name.isprintable() and not set(name) & set("/\\")
    return path.parent / name if is_name else path
