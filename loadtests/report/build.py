"""Every report of one run, from its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from loadtests.atomic_files import write_atomically
from loadtests.errors import ResultsError
from loadtests.measure.results import read_run
from loadtests.report.charts.drawing import Drawing, draw
from loadtests.report.formats.comment import render_comment
from loadtests.report.formats.html import render_report
from loadtests.report.formats.junit import render_junit
from loadtests.report.formats.markdown import render_summary
from loadtests.report.formats.prometheus import render_prometheus
from loadtests.report.formats.series_csv import render_csv
from loadtests.report.page import Page, build_page
from loadtests.report.sections import sections_of


def build_reports(run_path: Path) -> list[Path]:
    """Write all reports into the run folder, `report.html` first, and return their paths.

    Raises ResultsError when the folder cannot be read or written. Files appear whole or not at
    all; everything is made before the first is written.
    """
    page = build_page(read_run(run_path))
    return write_files(page.run.path, render(page))


def render(page: Page) -> dict[str, bytes]:
    """Each file's name in the run folder and its content."""
    sections = sections_of(page)
    drawings = {chart.name: draw(chart) for section in sections for chart in section.charts}
    files = {
        "report.html": render_report(page, sections, drawings).encode(),
        "summary.md": render_summary(page).encode(),
        "junit.xml": render_junit(page),
        "series.csv": render_csv(page).encode(),
        "metrics.prom": render_prometheus(page).encode(),
    }
    if comment := render_comment(page):
        files["comment.md"] = comment.encode()
    return files | pictures(drawings)


def pictures(drawings: Mapping[str, Drawing]) -> dict[str, bytes]:
    """`charts/NAME.png` and `charts/NAME.svg` of every drawing."""
    files = {}
    for name, drawing in drawings.items():
        files[f"charts/{name}.png"] = drawing.png()
        files[f"charts/{name}.svg"] = drawing.svg()
    return files


def write_files(folder: Path, files: dict[str, bytes]) -> list[Path]:
    """Write each atomically under `folder`. Raises ResultsError."""
    written = []
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.parent.resolve().is_relative_to(folder.resolve()):
                raise ResultsError(
                    f"{path.parent} leads out of the run folder, so nothing is written there.",
                    hint="Remove that link, then `loadtests report` again.",
                )
            write_atomically(path, content)
        except OSError as error:
            raise ResultsError(
                f"{path} cannot be written: {error.strerror}.",
                hint="Free the disk or make the folder writable, then `loadtests report` again.",
            ) from None
        written.append(path)
    return written
