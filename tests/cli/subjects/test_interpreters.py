from __future__ import annotations

import sys
from pathlib import Path

import pytest

import loadtests
from loadtests.cli.subjects.interpreters import check_python, find_python, parse_pythons
from loadtests.errors import UsageError


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_pythons_are_read_by_name() -> None:
    assert parse_pythons(["old=/a=b", "new=python3"]) == {"old": "/a=b", "new": "python3"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["/venvs/a"], "does not say whose Python"),
        (["old="], "does not say whose Python"),
        (["old=a", "old=b"], "names old twice"),
    ],
)
def test_pythons_without_a_name_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_pythons(given)


def test_a_python_is_a_folder_a_file_or_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = program(tmp_path / "venv" / "bin" / "python", "")
    assert find_python("old", str(tmp_path / "venv")) == python
    assert find_python("old", python) == python
    monkeypatch.setenv("PATH", str(tmp_path / "venv" / "bin"))
    assert find_python("old", "python") == python
    monkeypatch.chdir(tmp_path)
    assert find_python("old", "venv") == python
    with pytest.raises(UsageError, match=r"no virtual environment, it has no bin/python\."):
        find_python("old", str(tmp_path))
    with pytest.raises(UsageError, match=r"--python old=nothing: there is no such"):
        find_python("old", "nothing")


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        ('echo \'{"loadtests": "", "Locust": ""}\'', "has no loadtests", "-m pip install"),
        (
            'echo \'{"loadtests": "0.0.1", "Locust": "1"}\'',
            rf"has loadtests 0\.0\.1, and this one {loadtests.__version__}",
            "same versions",
        ),
        ("echo Unknown option: -P >&2; exit 2", "Unknown option: -P", "Python 3.11"),
        ("echo nothing", "gave no answer", "Python 3.11"),
        ("exit 3", "it ended with 3", "Python 3.11"),
    ],
)
def test_a_python_that_cannot_take_part_is_refused(
    tmp_path: Path, script: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_python("old", program(tmp_path / "python", script))
    assert "The Python of old" in caught.value.message
    assert hint in caught.value.hint


def test_this_python_takes_part(tmp_path: Path) -> None:
    check_python("old", sys.executable)
    program(tmp_path / "wrapped", f'exec "{sys.executable}" "$@"')
    check_python("old", str(tmp_path / "wrapped"))
