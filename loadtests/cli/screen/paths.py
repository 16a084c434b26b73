"""A run folder's file as the terminal names it."""

from __future__ import annotations

from pathlib import Path

from loadtests.measure.run_folder import LATEST, LATEST_MICRO


def shown_path(path: Path) -> str:
    """Relative to here where it can be, and through `latest` where that leads to it."""
    for link in (LATEST, LATEST_MICRO):
        short = path.parent.parent / link / path.name
        if short.exists() and short.resolve() == path.resolve():
            path = short
            break
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
