"""Throughput against p99: how far the rate can rise before the promise breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.measure.results import CapacityAnswer
from loadtests.report.charts.axes import limit_line, log_ms, reach_ms
from loadtests.report.charts.chart import Chart, ChartTable, Panel, percentile_legend
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.capacity import StepFigures
from loadtests.report.figures.rounding import plain
from loadtests.report.figures.series import SUBJECT_ROLES

_DOTS: Final = (0, (1, 2))
_OPEN: Final = 1.6  # how far an interval without an upper end is drawn, times its p99
_MOST_ABOVE: Final = 30.0  # times the limit: an overload of seconds must not flatten all else


def capacity_chart(
    steps: Sequence[StepFigures], limit_ms: float | None, answers: Sequence[CapacityAnswer] = ()
) -> Chart | None:
    """None when no step has a p99."""
    known = [s for s in steps if s.p99.known or s.achieved.known]
    times = [v for s in known for v in (s.p50.value, s.p99.value, s.low_ms, s.high_ms)]
    most = limit_ms * _MOST_ABOVE if limit_ms else math.inf
    reach = reach_ms([min(v, most) for v in times if v is not None], limit_ms)
    if reach is None:
        return None
    backends = list(dict.fromkeys(s.backend for s in known))
    roles = {b: SUBJECT_ROLES[min(i, len(SUBJECT_ROLES) - 1)] for i, b in enumerate(backends)}
    legend = percentile_legend(roles.items(), limit_ms)
    points = "; ".join(f"{s.achieved.text}: p99 {s.p99.text}, {s.verdict_words}" for s in known)
    keeps = {a.backend: a.max_sustained_per_s for a in answers if a.max_sustained_per_s}
    panel = Panel(
        title="p50 and p99 against throughput",
        alt=f"Throughput against p99. {points}.",
        draw=partial(_draw, steps=known, roles=roles, reach=reach, limit_ms=limit_ms, keeps=keeps),
        width_in=6.6,
        height_in=3.6,
    )
    return Chart(
        name="capacity",
        title="Throughput against p99",
        caption="Each point is one step, at the rate that it completed, with the 95% interval of "
        "its p99. A filled point passed; a hollow one failed or stayed undecided; at a cross the "
        "load generator was the bottleneck, so it says nothing about the database. Values beyond "
        "the chart are drawn at its top, and an arrow ends an interval without an upper bound. The "
        "dotted line is the highest rate within the limits.",
        panels=(panel,),
        legend=legend,
        table=steps_table(steps),
    )


def steps_table(steps: Sequence[StepFigures]) -> ChartTable:
    """A row for each step."""
    head = ("Asked for", "Done", "p50", "p99", "95% interval, ms", "Queued", "Generator CPU")
    several = len({s.backend for s in steps}) > 1
    left_out = any(s.left_out.value for s in steps)
    rows = tuple(
        (
            *((s.backend,) if several else ()),
            s.rate.text,
            s.achieved.text,
            s.p50.text,
            s.p99.text,
            s.interval or "–",
            s.queued.text,
            s.generator.text,
            *((s.left_out.text,) if left_out else ()),
            s.verdict_words,
            s.sentence,
        )
        for s in steps
    )
    named = (*(("Backend",) if several else ()), *head, *(("Calls left out",) if left_out else ()))
    return ChartTable((*named, "Verdict", "In words"), rows)


def _draw(
    ax: Axes,
    *,
    steps: Sequence[StepFigures],
    roles: Mapping[str, str],
    reach: tuple[float, float],
    limit_ms: float | None,
    keeps: Mapping[str, float],
) -> None:
    for backend, role in roles.items():
        own_steps = [s for s in steps if s.backend == backend]
        colour = LIGHT[role]
        sound = [s for s in own_steps if s.verdict != "INVALID" and s.p99.known]
        xs = [_x(s) for s in sound]
        ax.plot(xs, [s.p99.value or math.nan for s in sound], color=colour, linewidth=2)
        ax.plot(xs, [s.p50.value or math.nan for s in sound], color=colour, linewidth=1)
        for step in own_steps:
            _point(ax, step, colour, reach[1])
        if backend in keeps:
            ax.axvline(keeps[backend], color=colour, linewidth=1.2, linestyle=_DOTS, zorder=1)
    log_ms(ax, *reach)
    _rates(ax, [_x(s) for s in steps])
    ax.set_ylabel("ms")
    limit_line(ax, limit_ms, left=True)


def _point(ax: Axes, step: StepFigures, colour: str, top_ms: float) -> None:
    x, p99_ms = _x(step), step.p99.value
    if p99_ms is None or p99_ms > top_ms:
        mark = "x" if step.verdict == "INVALID" else "^"
        ax.plot([x], [top_ms / 1.12], mark, color=colour, markerfacecolor=LIGHT["paper"])
        return
    if step.low_ms or step.high_ms:
        high_ms = min(step.high_ms or p99_ms * _OPEN, top_ms)
        ax.plot([x, x], [step.low_ms or p99_ms, high_ms], color=colour, linewidth=1)
        if not step.high_ms:
            ax.plot([x], [high_ms], "^", color=colour, markersize=3)
    if step.verdict == "INVALID":
        ax.plot([x], [p99_ms], "x", color=colour, markeredgewidth=2)
        return
    face = colour if step.verdict == "PASS" else LIGHT["paper"]
    ax.plot([x], [p99_ms], "o", color=colour, markerfacecolor=face)


def _rates(ax: Axes, rates: Sequence[float]) -> None:
    """A logarithmic scale: each step is so many times the one before."""
    low, high = min(r for r in rates if r > 0) / 1.15, max(rates) * 1.15
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [m * 10.0**e for e in range(-1, 7) for m in (1, 2, 5)]
    shown = [t for t in ticks if low <= t <= high]
    ax.xaxis.set_major_locator(FixedLocator(shown or [max(rates)]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
    ax.set_xlabel("calls/s")


def _x(step: StepFigures) -> float:
    return step.achieved.value or step.rate.value or 0.0
