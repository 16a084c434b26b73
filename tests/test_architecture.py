"""The shape of the code: the map is complete, folders are small, names are unique, no circles."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from loadtests.patterns import CLOUDSHELF_PATTERNS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "loadtests"
MAP = ROOT / "docs" / "ARCHITECTURE.md"
MOST_MODULES = 14
# words of an earlier, private language; the field has terms for them (docs/GLOSSARY.md)
PRIVATE_WORDS = ("likeness", "company", "twins", "witness", "tether")

# CloudShelf's own access patterns, and who may name them: what is CloudShelf's own, and no room in
# general. `patterns` orders the runs of earlier versions by them.
NAMES_OF_PATTERNS = ("CART_PATTERNS", "SESSION_PATTERNS", "CLOUDSHELF_PATTERNS")
OF_CLOUDSHELF = (
    "loadtests.patterns",
    "loadtests.stores.probe",
    "loadtests.load.workload",
    "loadtests.microbench.suites",
    "loadtests.calibrate",
)

ROW = re.compile(r"^\| `(?P<folder>loadtests/[\w/]*)` \|(?P<modules>[^|]*)\|", re.MULTILINE)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def mapped_modules(text: str) -> dict[str, set[str]]:
    """Module names by folder, as the tables of the map list them."""
    mapped: dict[str, set[str]] = defaultdict(set)
    for row in ROW.finditer(text):
        mapped[row["folder"].rstrip("/")].update(re.findall(r"`(\w+)`", row["modules"]))
    return mapped


def imports_of(tree: ast.AST, name: str, names: set[str]) -> Iterator[str]:
    """Every module of the project that `name` imports: at the top, in functions, for types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module in names:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in names else node.module


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    names = set(sources)
    return {
        name: set(imports_of(ast.parse(source), name, names)) - {name}
        for name, source in sources.items()
    }


def first_circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_map_lists_every_module_and_no_other() -> None:
    mapped = mapped_modules(MAP.read_text(encoding="utf-8"))
    real: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        if path.stem != "__init__":
            real[path.parent.relative_to(ROOT).as_posix()].add(path.stem)
    missing = {folder: stems - mapped[folder] for folder, stems in real.items()}
    stale = {folder: stems - real[folder] for folder, stems in mapped.items()}
    assert {folder: stems for folder, stems in missing.items() if stems} == {}
    assert {folder: stems for folder, stems in stale.items() if stems} == {}


def test_a_map_row_names_a_folder_and_its_modules() -> None:
    row = "| `loadtests/judge/stats/` | `samples` `quantiles` | percentiles |\n"
    assert mapped_modules(row) == {"loadtests/judge/stats": {"samples", "quantiles"}}


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules()}), ids=module_name)
def test_a_folder_is_small_enough_to_read(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES


def test_every_class_name_is_defined_in_one_module() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                owners[node.name].add(module_name(path))
    assert {name: sorted(where) for name, where in owners.items() if len(where) > 1} == {}


def test_imports_have_no_circle() -> None:
    sources = {module_name(path): path.read_text(encoding="utf-8") for path in modules()}
    assert first_circle(import_graph(sources)) == []


@pytest.mark.parametrize(
    "import_of_b",
    [
        "from p import b",
        "from p.b import f",
        "import p.b",
        "def f():\n    from p.b import g",
        "if TYPE_CHECKING:\n    from p.b import g",
    ],
)
def test_a_circle_is_found_wherever_the_import_is(import_of_b: str) -> None:
    graph = import_graph({"p": "", "p.a": import_of_b, "p.b": "from p.a import x"})
    assert set(first_circle(graph)) == {"p.a", "p.b"}


@pytest.mark.parametrize("word", PRIVATE_WORDS)
def test_a_private_word_is_used_nowhere(word: str) -> None:
    pattern = re.compile(rf"(?<![a-z]){word}(?![a-z])", re.IGNORECASE)
    uses = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in {".py", ".html", ".css", ".js", ".sql", ".json"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line) or word in path.stem
    ]
    assert uses == []


def named_patterns(source: str) -> set[str]:
    """CloudShelf's own access patterns that a module names: as text, or by its constants."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in CLOUDSHELF_PATTERNS:
            named.add(str(node.value))
        elif isinstance(node, ast.ImportFrom):
            named.update(each.name for each in node.names if each.name in NAMES_OF_PATTERNS)
        elif isinstance(node, ast.Attribute) and node.attr in NAMES_OF_PATTERNS:
            named.add(node.attr)
    return named


def test_no_room_in_general_names_an_access_pattern() -> None:
    named = {
        module_name(path): names
        for path in modules()
        if not module_name(path).startswith(OF_CLOUDSHELF)
        and (names := named_patterns(path.read_text(encoding="utf-8")))
    }
    assert named == {}


@pytest.mark.parametrize(
    "source",
    [
        "from loadtests.patterns import BACKENDS, CART_PATTERNS",
        "from loadtests import patterns\npatterns.CLOUDSHELF_PATTERNS",
        'limits = {"session.get": 1}',
    ],
)
def test_a_named_access_pattern_is_found(source: str) -> None:
    assert len(named_patterns(source)) == 1
