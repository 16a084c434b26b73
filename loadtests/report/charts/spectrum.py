"""The percentile spectrum: the whole distribution, its tail stretched, one panel a pattern."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from loadtests.measure.histogram import Histogram
from loadtests.report.charts.axes import limit_line, log_ms, reach_ms
from loadtests.report.charts.chart import Chart, ChartTable, Entry, Margins, Panel, target_legend
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.rounding import CONFIDENCE, milliseconds
from loadtests.report.figures.series import ReportSeries, patterns_of, subjects_of

# The position of a percentile on the axis: -log10(1 - q), so that every further nine is one step.
_TICKS: Final = {"0": 0.0, "50": 0.5, "90": 0.9, "99": 0.99, "99.9": 0.999, "99.99": 0.9999}
_POINTS_A_NINE: Final = 40
_SHOWN: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


def spectrum_chart(
    series: Sequence[ReportSeries], metric: str, limit_ms: float | None, words: str
) -> Chart | None:
    """None when nothing was recorded."""
    curves = {
        (each.pattern, each.subject): curve(each.histograms[metric])
        for each in series
        if metric in each.histograms and each.histograms[metric].total > 1
    }
    reach = reach_ms([y for _, ys in curves.values() for y in ys], limit_ms)
    if reach is None:
        return None
    subjects = subjects_of(series)
    lines = [Entry(s.label, s.role, "line") for s in subjects]
    nines = max(xs[-1] for xs, _ in curves.values())
    panels = tuple(
        Panel(
            title=pattern,
            alt=f"{words} of {pattern} at every percentile. " + _summary(series, pattern, metric),
            draw=partial(
                _draw,
                curves=[(s.role, *curves[pattern, s]) for s in subjects if (pattern, s) in curves],
                reach=reach,
                nines=nines,
                limit_ms=limit_ms,
            ),
            width_in=3.35,
            height_in=2.15,
            margins=Margins(left=0.52, right=0.12, top=0.32, bottom=0.43),
        )
        for pattern in patterns_of(series)
    )
    return Chart(
        name="spectrum",
        title="Percentile spectrum",
        caption="Each step to the right is one more nine, so the tail has as much room as the "
        "middle. A curve ends where there are too few calls for a percentile: beyond it, a 95% "
        "upper bound would be infinite.",
        panels=panels,
        legend=(*lines, *target_legend(limit_ms)),
        table=_table(series, metric),
        columns=3,
    )


def curve(histogram: Histogram) -> tuple[list[float], list[float]]:
    """Nines and milliseconds, as far as there are enough calls, thinned for a screen."""
    parts = histogram.sparse()
    total = parts.total
    last = -math.log10(1 - (1 - CONFIDENCE) ** (1 / total))
    steps = np.linspace(0, last, max(2, round(last * _POINTS_A_NINE)))
    values_ns = parts.quantiles_ns([1 - 10.0 ** -float(step) for step in steps])
    return [float(step) for step in steps], [value_ns / 1e6 for value_ns in values_ns]


def _summary(series: Sequence[ReportSeries], pattern: str, metric: str) -> str:
    sentences = []
    for each in series:
        if each.pattern == pattern:
            figures = [
                f"{name} {milliseconds(value).text}"
                for name, q in _SHOWN.items()
                if (value := each.quantile_ms(metric, q)) is not None
            ]
            sentences.append(f"{each.subject.label}: {', '.join(figures) or 'too few calls'}.")
    return " ".join(sentences)


def _table(series: Sequence[ReportSeries], metric: str) -> ChartTable:
    rows = tuple(
        (
            each.pattern,
            each.subject.label,
            *(milliseconds(each.quantile_ms(metric, q)).text for q in _SHOWN.values()),
        )
        for each in series
    )
    return ChartTable(("Access pattern", "Backend", *_SHOWN), rows, figures_from=2)


def _draw(
    ax: Axes,
    *,
    curves: Sequence[tuple[str, list[float], list[float]]],
    reach: tuple[float, float],
    nines: float,
    limit_ms: float | None,
) -> None:
    for role, xs, ys in curves:
        ax.plot(xs, ys, color=LIGHT[role], linewidth=2, drawstyle="steps-post")
    log_ms(ax, *reach)
    ticks = {-math.log10(1 - q): name for name, q in _TICKS.items() if -math.log10(1 - q) <= nines}
    ax.set_xlim(0, nines * 1.02)
    ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: ticks.get(x, "")))
    ax.set_xlabel("percentile, %")
    ax.set_ylabel("ms")
    limit_line(ax, limit_ms, left=True)
