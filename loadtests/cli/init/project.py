"""Writes a scenario, settings and a CI job into a folder, all of them or none."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

import loadtests
from loadtests.errors import UsageError

SCENARIO: Final = "scenarios/search.py"
SETTINGS: Final = "loadtests.toml"
SCRIPT: Final = "ci/latency-gate.sh"
WORKFLOW: Final = ".github/workflows/latency-gate.yml"
TEMPLATES: Final = {
    SCENARIO: "scenario.py.tmpl",
    SETTINGS: "loadtests.toml.tmpl",
    SCRIPT: "latency-gate.sh.tmpl",
    WORKFLOW: "latency-gate.yml.tmpl",
}
_FOLDER: Final = Path(__file__).with_name("templates")
_VERSION_MARK: Final = "@VERSION@"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write a scenario, loadtests.toml and a CI job into DIR, by default the current folder.

    The scenario runs as it is, on an embedded PostgreSQL. Nothing is overwritten: if one of the
    files exists, none is written.
    """
    for path in write_project(folder):
        click.echo(f"Written: {path}")
    if repository := _repository_above(folder):
        click.echo(
            f"GitHub reads workflows in {repository / '.github/workflows'} only: move {WORKFLOW} "
            "there, and correct the path of the script in it."
        )
    click.echo("Runs are stored in results/: leave it out of version control.")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"Next: {enter}loadtests gate --scenario {SCENARIO}")


def write_project(folder: Path) -> list[Path]:
    """Write all files into `folder`, which is made if it is missing; returns their paths.

    Raises UsageError if one of them exists or cannot be written; nothing is left of the others.
    """
    paths = {folder / name: template for name, template in TEMPLATES.items()}
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing:
        raise UsageError(
            f"Already there, so nothing was written: {', '.join(existing)}.",
            hint="Name another folder (loadtests init DIR), or move away what is there.",
        )
    with ExitStack() as undo:
        for path, template in paths.items():
            try:
                _write_new(path, _content(template), undo)
            except OSError as error:
                raise UsageError(
                    f"Nothing was written: {error.strerror}: {error.filename or path}.",
                    hint="Name a folder that can be written to: loadtests init DIR.",
                ) from None
        undo.pop_all()
    return list(paths)


def _write_new(path: Path, content: str, undo: ExitStack) -> None:
    for parent in reversed([parent for parent in path.parents if not parent.exists()]):
        parent.mkdir()
        undo.callback(parent.rmdir)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        undo.callback(path.unlink)
        file.write(content)


def _content(template: str) -> str:
    text = (_FOLDER / template).read_text(encoding="utf-8")
    return text.replace(_VERSION_MARK, loadtests.__version__)


def _repository_above(folder: Path) -> Path | None:
    """The root of the git repository, where the folder lies deeper in one."""
    here = folder.resolve()
    roots = (parent for parent in (here, *here.parents) if (parent / ".git").exists())
    root = next(roots, here)
    return None if root == here else root
