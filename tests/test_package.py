"""What the package says of itself, in the places that repeat it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import loadtests
from cloudshelf_loadtests import OtherPackageImported, import_loadtests
from loadtests.errors import EXIT_ERROR

ROOT: Final = Path(__file__).parents[1]
PYPROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: Final = PYPROJECT["project"]
SETUPTOOLS: Final = PYPROJECT["tool"]["setuptools"]


def citation(field: str) -> str:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (value,) = re.findall(rf"^{field}: (.+)$", text, re.MULTILINE)
    return str(value)


def test_the_citation_names_this_version_and_licence() -> None:
    assert citation("version") == loadtests.__version__
    assert citation("license") == metadata.metadata("cloudshelf-loadtests")["License-Expression"]


def test_the_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(loadtests.__version__)}\b", changelog, re.MULTILINE)


def test_the_wheel_holds_every_file_of_the_packages() -> None:
    """What is no Python module is in a wheel only if a pattern of the settings names it."""
    for package, patterns in SETUPTOOLS["package-data"].items():
        folder = ROOT / package
        data = {path for pattern in patterns for path in folder.glob(pattern)}
        files = {path for path in folder.rglob("*") if path.is_file()}
        assert {path for path in files - data if path.suffix not in {".py", ".pyc"}} == set()


def test_programs_begin_in_a_package_that_no_other_project_has() -> None:
    """A project may have a package `loadtests` of its own, before this one in the search path."""
    points = [*PROJECT["scripts"].values()]
    points += [name for group in PROJECT["entry-points"].values() for name in group.values()]
    assert {point.partition(".")[0] for point in points} == {"cloudshelf_loadtests"}
    for point in points:
        module, _, name = point.partition(":")
        assert hasattr(importlib.import_module(module), name or "__name__")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with another package of the name."""
    package = tmp_path / "loadtests"
    package.mkdir()
    (package / "__init__.py").touch()
    return tmp_path


def test_the_command_is_the_installed_one_whatever_python_path_says(other: Path) -> None:
    program = "from cloudshelf_loadtests.console import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "--scenario", "missing.py"],
        env={**os.environ, "PYTHONPATH": str(other)},
        cwd=other,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == EXIT_ERROR
    notice, error = done.stderr.splitlines()[:2]
    assert notice.startswith(f"Notice: {other}/loadtests is not imported: ")
    assert error == "Error: There is no scenario missing.py."


def test_a_process_that_has_imported_another_package_is_refused(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("loadtests")
    module.__file__ = str(other / "loadtests" / "__init__.py")
    before = list(sys.path)
    monkeypatch.setitem(sys.modules, "loadtests", module)
    with pytest.raises(OtherPackageImported, match=f"another package loadtests: {other}"):
        import_loadtests()
    assert sys.path == before
