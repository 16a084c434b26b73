"""Modules of a source tree come first, and never take the place of Python's own."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.interpreter import TreeFinder, search_tree_first


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
