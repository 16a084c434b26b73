"""p50 and p99 of comparable runs, oldest first, with change points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from loadtests.measure.results import Key
from loadtests.report.charts.axes import gaps, limit_line, log_ms, reach_ms
from loadtests.report.charts.chart import Chart, Margins, Panel, percentile_legend
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.history import Past
from loadtests.report.figures.rounding import change, clean, milliseconds
from loadtests.report.figures.series import ReportSeries, patterns_of, subjects_of


def history_chart(
    past: Past, series: Sequence[ReportSeries], metric: str, limit_ms: float | None
) -> Chart | None:
    """None when no series of this run has figures."""
    reach = reach_ms([v for values in past.values.values() for v in values], limit_ms)
    if reach is None:
        return None
    subjects = subjects_of(series)
    legend = percentile_legend([(s.label, s.role) for s in subjects], limit_ms)
    panels = tuple(
        Panel(
            title=pattern,
            alt=f"p50 and p99 of {pattern} over {len(past.started)} runs. "
            + " ".join(_summary(past, each, metric) for each in series if each.pattern == pattern),
            draw=partial(
                _draw,
                past=past,
                keys=[(s.subject.role, _key(s, metric)) for s in series if s.pattern == pattern],
                reach=reach,
                limit_ms=limit_ms,
            ),
            width_in=3.35,
            height_in=2.15,
            margins=Margins(left=0.52, right=0.15, top=0.32, bottom=0.43),
        )
        for pattern in patterns_of(series)
    )
    return Chart(
        name="history",
        title="History",
        caption=f"{len(past.started)} runs under the same conditions, this one last. {past.note}",
        panels=panels,
        legend=legend,
        columns=3,
    )


def _key(series: ReportSeries, metric: str) -> Key:
    return Key(series.subject.backend, series.subject.driver, series.pattern, metric)


def _summary(past: Past, series: ReportSeries, metric: str) -> str:
    values = past.values.get((_key(series, metric), "p99"), ())
    known = [v for v in values if v is not None]
    if not known:
        return f"{series.subject.label}: no figures."
    return (
        f"{series.subject.label}: p99 from {milliseconds(known[0]).text} to "
        f"{milliseconds(known[-1]).text}."
    )


def _draw(
    ax: Axes,
    *,
    past: Past,
    keys: Sequence[tuple[str, Key]],
    reach: tuple[float, float],
    limit_ms: float | None,
) -> None:
    xs = range(1, len(past.started) + 1)
    marks = 0
    for role, key in keys:
        for name, width in (("p50", 1), ("p99", 2)):
            values = past.values.get((key, name))
            if values is None:
                continue
            ax.plot(xs, gaps(values), "-o", color=LIGHT[role], linewidth=width, markersize=2.5)
            for point in past.changes.get((key, name), ()):
                text = f"{name} {change(point.change).text}"
                _mark(ax, point.index + 1, text, LIGHT[role], 3 + 10 * marks)
                marks += 1
    log_ms(ax, *reach)
    ax.set_xlim(0.5, len(past.started) + 0.5)
    ax.set_ylabel("ms")
    days = [clean(past.started[0])[:10], clean(past.started[-1])[:10]]
    ax.xaxis.set_major_locator(FixedLocator([1, len(past.started)]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: days[0] if x == 1 else days[1]))
    first, *_, last = ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    ax.grid(axis="x", visible=False)
    limit_line(ax, limit_ms, left=True)


def _mark(ax: Axes, x: float, text: str, colour: str, rise: float) -> None:
    ax.axvline(x - 0.5, color=colour, linewidth=1.2)
    ax.annotate(
        text,
        (x - 0.5, 0),
        xycoords=("data", "axes fraction"),
        xytext=(2, rise),
        textcoords="offset points",
        color=colour,
        fontsize=8,
    )
