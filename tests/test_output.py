"""Streams whose errors are noted instead of raised."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.output import tolerant, write_error


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The reading end of a pipe, and its writing end as a strict text stream."""
    reading, writing = os.pipe()
    stream = io.TextIOWrapper(io.FileIO(writing, "wb"), encoding="ascii", errors="strict")
    yield reading, stream
    stream.close()


def test_what_can_be_written_is_written(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    output = tolerant(stream)
    output.write("text\n")
    output.flush()
    assert os.read(reading, 100) == b"text\n"
    assert write_error(output) is None
    os.close(reading)


def test_what_was_buffered_before_comes_first(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    stream.write("first ")
    output = tolerant(stream)
    output.write("second")
    output.flush()
    assert os.read(reading, 100) == b"first second"
    os.close(reading)


def test_a_character_that_the_encoding_lacks_is_a_question_mark(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    reading, stream = pipe
    output = tolerant(stream)
    output.write("a ✓ b")
    output.flush()
    assert os.read(reading, 100) == b"a ? b"
    os.close(reading)


def test_a_closed_pipe_is_noted_and_later_output_dropped(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    reading, stream = pipe
    os.close(reading)
    output = tolerant(stream)
    for _ in range(3):
        assert output.write("text") == 4
        output.flush()
    error = write_error(output)
    assert isinstance(error, BrokenPipeError)


def test_a_full_disk_is_noted() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        output = tolerant(stream)
        output.write("x" * 100_000)
        output.flush()
        error = write_error(output)
    assert error is not None
    assert error.errno == errno.ENOSPC


def test_a_stream_that_is_no_file_stays_as_it_is() -> None:
    stream = io.StringIO()
    assert tolerant(stream) is stream
    assert write_error(stream) is None


def test_a_closed_descriptor_gives_a_stream_that_drops_everything() -> None:
    with tolerant(None) as output:
        assert output.write("text") == 4
