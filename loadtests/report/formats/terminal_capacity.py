"""The table that ends a capacity run in the terminal: a row a step, then the answer in words."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from loadtests.report.capacity import StepFigures, limit_of, steps_of
from loadtests.report.page import Page

_SHORT = {"INCONCLUSIVE": "INCONCL.", "INVALID": "generator"}


def climb_screen(page: Page, styles: Mapping[str, str]) -> Table:
    """This run's own steps; rates in calls per second, times in milliseconds."""
    judged = page.judged
    own = [step for step in steps_of(page.run) if not step.run]
    limit_ms = limit_of(own, page.line_ms)
    aim = f", target p99 {limit_ms:g} ms" if limit_ms is not None else ""
    table = Table(
        title=f"{page.metric_words} in ms, step by step{aim}",
        caption=Text(
            " ".join(filter(None, [f"{judged.status}: {judged.sentence}", judged.details]))
        ),
        caption_style="",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    several = len({step.backend for step in own}) > 1
    for head in (*(["backend"] if several else []), "offered\n/s", "done\n/s", "\np50", "\np99",
                 "95%\ninterval", "\nqueued", "gen.\nCPU", "\nverdict"):  # fmt: skip
        words = head in ("backend", "\nverdict")
        table.add_column(head, justify="left" if words else "right", no_wrap=True)
    for step in own:
        first = [Text(step.backend)] if several else []
        table.add_row(*first, *_cells(step, styles))
    return table


def _cells(step: StepFigures, styles: Mapping[str, str]) -> list[Text]:
    style = styles.get(step.verdict, "")
    late = "red" if step.verdict == "FAIL" else ""
    return [
        Text(step.rate.text.removesuffix(" /s")),
        Text(step.achieved.text.removesuffix(" /s")),
        Text(step.p50.text.removesuffix(" ms")),
        Text(step.p99.text.removesuffix(" ms"), style=late),
        Text(step.interval or "–"),
        Text(step.queued.text),
        Text(step.generator.text),
        Text(_SHORT.get(step.verdict, step.verdict), style=style),
    ]
