"""What the package says of itself, in the places that repeat it."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Final

import loadtests

ROOT: Final = Path(__file__).parents[1]


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
