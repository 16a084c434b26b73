"""Standard output and error that cannot fail: what cannot be shown changes no exit code.

A closed pipe (`loadtests history | head`), a full disk or an encoding without the character would
otherwise end the process by an exception, while the verdict is already stored.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def open_closed_descriptors() -> None:
    """Open the null device for each of the descriptors 0 to 2 that the process lacks.

    Otherwise the next file that is opened takes the number, and output of child processes goes
    into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


class TolerantFile(io.FileIO):
    """A file descriptor whose write errors are noted instead of raised; later output is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written; all of it counts as written after an error."""
        size = memoryview(data).nbytes
        if self.error is not None:
            return size
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            return size


@contextmanager
def tolerant_output() -> Iterator[None]:
    """Make sys.stdout and sys.stderr streams that cannot fail; at the end, write what is left."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = tolerant(streams[0]), tolerant(streams[1])
    try:
        yield
    finally:
        flush_output()
        sys.stdout, sys.stderr = streams


def tolerant(stream: TextIO | None) -> TextIO:
    """The same stream without errors of writing or encoding: `?` for what it cannot encode."""
    if stream is None:  # the process was started with this descriptor closed
        return open(os.devnull, "w", encoding="utf-8")
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream  # no file: a test's buffer
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(TolerantFile(descriptor)),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.isatty() or stream is sys.stderr,
    )


def flush_output() -> None:
    """Write what is buffered, and say so where standard output could not be written.

    A closed pipe is not worth a word: its reader has what it wants.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    error = write_error(sys.stdout)
    if error is not None and error.errno != errno.EPIPE:
        sys.stderr.write(f"Warning: standard output is incomplete: {error.strerror}.\n")
        sys.stderr.flush()


def write_error(stream: TextIO) -> OSError | None:
    """Why a stream is incomplete; None where everything was written."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, TolerantFile) else None
