"""`report.html`: one file that needs nothing else, from a page's sections."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import loadtests
from loadtests.report.charts.chart import Chart, Panel
from loadtests.report.charts.drawing import Drawing
from loadtests.report.charts.palette import DARK, LIGHT, css_variables
from loadtests.report.opening import facts_of, notes_of
from loadtests.report.page import Page
from loadtests.report.sections import ReportSection
from loadtests.report.sides import Side
from loadtests.report.verdict_style import MARKS

METHOD_GUIDE: Final = "docs/METHOD.md"
MOST_UP: Final = 3  # results/<run>/, or one folder deeper


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart whose panels are SVG text; `least_rem` is how narrow a panel may get."""

    chart: Chart
    panels: tuple[tuple[Markup, Panel], ...]
    least_rem: float


def environment() -> Environment:
    """Templates of this package, everything escaped unless it was made here."""
    env = Environment(
        loader=PackageLoader("loadtests.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals["marks"] = MARKS
    env.globals["version"] = loadtests.__version__
    return env


def render_report(
    page: Page, sections: Sequence[ReportSection], drawings: Mapping[str, Drawing]
) -> str:
    """The whole report as one HTML document; `drawings` by their chart's name."""
    return _render(
        "report.html",
        drawings,
        title=f"{page.judged.status}: {page.setting.title}",
        page=page,
        guide=guide_beside(page.run.path),
        facts=facts_of(page),
        notes=notes_of(page),
        sections=sections,
    )


def guide_beside(folder: Path) -> str:
    """The way from a run folder to the project's docs/METHOD.md; empty where there is none."""
    for up, parent in enumerate(folder.parents[:MOST_UP], 1):
        if (parent / METHOD_GUIDE).is_file():
            return "../" * up + METHOD_GUIDE
    return ""


def render_comparison(
    sides: Sequence[Side], sections: Sequence[ReportSection], drawings: Mapping[str, Drawing]
) -> str:
    """The comparison of several runs as one HTML document."""
    cautions = dict.fromkeys(side.page.setting.caution for side in sides)
    return _render(
        "comparison.html",
        drawings,
        title=f"{len(sides)} runs of {sides[0].page.setting.scenario} compared",
        sides=sides,
        guide="",
        cautions=[caution for caution in cautions if caution],
        sections=sections,
    )


def _render(template: str, drawings: Mapping[str, Drawing], **content: Any) -> str:
    env = environment()
    css, js = _css(env), _source(env, "report.js")
    return env.get_template(template).render(
        drawn={name: drawn(drawing) for name, drawing in drawings.items()},
        css=Markup(css),  # noqa: S704 - the package's own file
        js=Markup(js),  # noqa: S704 - the package's own file
        script_hash=script_hash(js),
        **content,
    )


def drawn(drawing: Drawing) -> Drawn:
    """Every panel as SVG; matplotlib has escaped the text in it."""
    chart = drawing.chart
    panels = tuple(
        (Markup(svg), panel)  # noqa: S704 - see above
        for svg, panel in zip(drawing.page_svgs(), chart.panels, strict=True)
    )
    widest = max(panel.width_in for panel in chart.panels)
    return Drawn(chart, panels, round(widest * 72 / 16 * 1.3, 1))


def script_hash(script: str) -> str:
    """What the page's content security policy allows: this script and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _css(env: Environment) -> str:
    css = _source(env, "report.css")
    css = css.replace("LIGHT_VARIABLES", css_variables(LIGHT))
    return css.replace("DARK_VARIABLES", css_variables(DARK))


def _source(env: Environment, name: str) -> str:
    if env.loader is None:
        return ""
    return env.loader.get_source(env, name)[0]
