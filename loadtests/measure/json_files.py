"""Reads a JSON file that has a schema version, and says in words what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from loadtests.errors import ResultsError

Record = TypeVar("Record", bound=BaseModel)


def read_record(
    file: Path,
    kind: type[Record],
    newest: int,
    missing: ResultsError,
    *,
    upgrade: Callable[[dict[str, object]], dict[str, object]] | None = None,
) -> Record:
    """The file as `kind`, of schema version `newest` or older.

    `upgrade` turns the data of older versions into that of the newest. Raises `missing` when the
    file does not exist, ResultsError naming the file and field at fault when it is damaged or of a
    later version.
    """
    try:
        raw = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise missing from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file} is cut short or damaged: {error}.") from None
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
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ResultsError(f"{file}: field {field}: {first['msg']}.") from None
