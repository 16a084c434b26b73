"""Reads a JSON file that has a schema version, and says in words what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from loadtests.errors import ResultsError
from loadtests.stored_files import open_stored, printable

Record = TypeVar("Record", bound=BaseModel)

LARGEST_BYTES: Final = 1 << 28
LARGEST_NUMBER: Final = 1 << 63
_DEEPEST: Final = 60
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
