"""Opens files that another machine may have written: regular files of a bounded size.

A run folder travels: through artifact stores, archives and copies. A FIFO in it would block its
reader for ever, and a device or a sparse file would fill the memory.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

from loadtests.errors import ResultsError

LARGEST_BYTES: Final = 1 << 30
_LONGEST_POINTER: Final = 400
# control, surrogate and direction characters; a terminal or an editor would obey them
_NOT_PRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb]"
)


def open_stored(path: Path, largest_bytes: int = LARGEST_BYTES) -> BinaryIO:
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
