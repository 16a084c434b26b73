"""The documentation: links lead somewhere, named files and modules exist, lines are readable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md")]
)
FOLDERS_OF_FILES = (
    "loadtests",
    "cloudshelf_loadtests",
    "scenarios",
    "examples",
    "bench",
    "tests",
    "docs",
    "experiments",
)
LONGEST_LINE = 100
PROMISED_PAGES: set[str] = set()  # named in the code before they are written

FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)
FILE = re.compile(r"(?<![\w/.<*{-])[\w/]+\.(?:py|sql|toml|yml)(?![\w*])")
FOLDER = re.compile(r"`((?:loadtests|scenarios|examples|bench|experiments|tests|docs)/[\w/]*/)`")
MODULE = re.compile(r"(?<![\w/.-])loadtests(?:\.[A-Za-z_]\w*)+")

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def anchors_of(page: Path) -> set[str]:
    return {anchor_of(heading) for heading in HEADING.findall(FENCE.sub("", read(page)))}


def broken_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(CODE.sub("", FENCE.sub("", read(page)))):
        if re.match(r"[a-z]+:", target):
            continue  # an address outside the project
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            yield target


@cache
def project_files() -> frozenset[str]:
    """Paths from the root and from `loadtests/`, and plain file names."""
    files = [path for folder in FOLDERS_OF_FILES for path in (ROOT / folder).rglob("*.*")]
    files += [*ROOT.glob("*.*"), *(ROOT / "tests").glob("*.*")]
    paths = {path.relative_to(ROOT).as_posix() for path in files}
    inside = {path.removeprefix("loadtests/") for path in paths}
    return frozenset(paths | inside | {path.name for path in files})


def names_in(module: Path) -> set[str]:
    """What a module defines or imports at its top level."""
    names: set[str] = set()
    for node in ast.parse(read(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def module_exists(dotted: str) -> bool:
    """Whether it names a module, or something that a module has at its top level."""
    parts = dotted.split(".")
    for length in (len(parts), len(parts) - 1):
        base = ROOT.joinpath(*parts[:length])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return length == len(parts) or parts[-1] in names_in(file)
    return False


@every_page
def test_links_and_anchors_exist(page: Path) -> None:
    assert list(broken_links(page)) == []


@every_page
def test_named_files_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("a changelog names files of its time")
    # a reader's own modules; another project's
    foreign = {"shop/carts.py", "shop/orders.py", "orders.py", "httpx/_client.py"}
    foreign |= {"tests/test_stores.py", "scenarios/search.py"}
    assert set(FILE.findall(read(page))) - foreign - project_files() == set()
    assert {name for name in FOLDER.findall(read(page)) if not (ROOT / name).is_dir()} == set()


@every_page
def test_named_modules_exist(page: Path) -> None:
    named = {name for name in MODULE.findall(read(page)) if name != "loadtests.toml"}
    assert {name for name in named if not module_exists(name)} == set()


@every_page
def test_lines_fit_a_screen(page: Path) -> None:
    text = FENCE.sub("", read(page))
    lines = [line for line in text.splitlines() if not line.startswith(("|", "!["))]
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_pages_named_in_the_code_exist() -> None:
    sources = [
        path for path in (ROOT / "loadtests").rglob("*.*") if path.suffix in {".py", ".html"}
    ]
    named = {page for path in sources for page in re.findall(r"docs/[\w/-]+\.md", read(path))}
    assert {page for page in named if not (ROOT / page).is_file()} == PROMISED_PAGES


def test_the_index_lists_every_decision() -> None:
    pages = {page.name for page in (ROOT / "docs" / "decisions").glob("*.md")} - {"README.md"}
    assert set(LINK.findall(read(ROOT / "docs" / "decisions" / "README.md"))) == pages


def test_a_missing_file_an_anchor_and_a_module_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b, c\n[1](#a-b-c) [2](#no) [3](none.md) [4](https://x.org) `[5](none)`\n")
    assert list(broken_links(page)) == ["#no", "none.md"]
    assert module_exists("loadtests.errors.CallError")
    assert module_exists("loadtests.stores.open")
    assert not module_exists("loadtests.errors.NoSuchError")
    assert not module_exists("loadtests.no_such_module")
