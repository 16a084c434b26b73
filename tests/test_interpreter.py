"""Which modules are imported where several have one name: source trees, packages `loadtests`."""

from __future__ import annotations

import importlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import loadtests
from loadtests.interpreter import (
    TreeFinder,
    find_this_package_first,
    other_package,
    other_package_notice,
    search_tree_first,
)

HOME: Final = str(Path(loadtests.__file__).parents[1])


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two folders with a package of one name; what is imported from them is forgotten."""
    folders = tmp_path / "base", tmp_path / "head"
    for folder in folders:
        (folder / "twice").mkdir(parents=True)
        (folder / "twice" / "part.py").write_text(f"WHERE = {folder.name!r}\n")
    (folders[0] / "random.py").write_text("raise AssertionError('not Python\\'s own')\n")
    (folders[0] / "loadtests").mkdir()
    path, finders = list(sys.path), list(sys.meta_path)
    yield folders
    sys.path[:], sys.meta_path[:] = path, finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "twice"]:
        del sys.modules[name]


@pytest.mark.parametrize("init", [True, False], ids=["package", "without __init__"])
def test_the_tree_is_first_whatever_changes_the_search_path(
    trees: tuple[Path, Path], init: bool
) -> None:
    """Locust puts the current folder first while it imports a scenario."""
    base, head = trees
    for folder in trees:
        if init:
            (folder / "twice" / "__init__.py").touch()
    search_tree_first(str(base))
    importlib.import_module("twice")
    sys.path.insert(0, str(head))
    importlib.invalidate_caches()
    assert importlib.import_module("twice.part").WHERE == "base"


def test_a_tree_gives_no_module_of_python_or_of_the_harness(trees: tuple[Path, Path]) -> None:
    finder = TreeFinder(str(trees[0]))
    assert finder.find_spec("random") is None
    assert finder.find_spec("loadtests") is None
    assert finder.find_spec("twice") is not None
    assert finder.find_spec("elsewhere") is None
    search_tree_first(str(trees[0]))
    assert importlib.reload(random).random


def test_no_tree_changes_nothing() -> None:
    before = list(sys.meta_path)
    search_tree_first("")
    assert sys.meta_path == before


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder with a package of the name."""
    package = tmp_path / "other" / "loadtests"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    return package.parent


def test_there_is_no_other() -> None:
    assert other_package({}) is None
    assert other_package({"PYTHONPATH": f"{HOME}:/missing"}) is None


def test_a_folder_of_scenarios_is_no_package() -> None:
    os.mkdir("loadtests")
    Path("loadtests", "cart.py").touch()
    assert other_package({}) is None


def test_a_package_or_module_of_the_current_folder_is_found() -> None:
    Path("loadtests.py").touch()
    assert other_package({}) == Path.cwd() / "loadtests.py"
    os.mkdir("loadtests")
    Path("loadtests", "__init__.py").touch()
    assert other_package({}) == Path.cwd() / "loadtests"


def test_this_project_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HOME)
    assert other_package({}) is None
    assert other_package({"PYTHONPATH": HOME}) is None


def test_python_path_leads_to_another(other: Path) -> None:
    environ = {"PYTHONPATH": f"/missing:{other}"}
    assert other_package(environ) == other / "loadtests"
    assert str(other / "loadtests") in other_package_notice(other / "loadtests")
    find_this_package_first(environ)
    assert environ["PYTHONPATH"] == f"{HOME}:/missing:{other}"
    find_this_package_first(environ)
    assert environ["PYTHONPATH"] == f"{HOME}:/missing:{other}"
    assert other_package(environ) == other / "loadtests"


@pytest.mark.parametrize("environ", [{}, {"PYTHONPATH": ""}, {"PYTHONPATH": "/missing"}])
def test_python_path_stays_where_it_leads_to_no_other(environ: dict[str, str]) -> None:
    Path("loadtests.py").touch()
    given = dict(environ)
    find_this_package_first(environ)
    assert environ == given
