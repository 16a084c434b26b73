"""p50, p99 and throughput along the run, with the warm-up shaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from matplotlib.axes import Axes

from loadtests.measure.stalls.record import StallRow
from loadtests.report.charts.axes import (
    DASH,
    gaps,
    limit_line,
    log_ms,
    reach_ms,
    seconds_axis,
    stall_ticks,
)
from loadtests.report.charts.chart import (
    Chart,
    Entry,
    Margins,
    Panel,
    nice_limit,
    percentile_legend,
)
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.rounding import digits, milliseconds, seconds
from loadtests.report.figures.series import ReportSeries, ReportSubject, patterns_of, subjects_of
from loadtests.report.figures.windows import Window, rates, window_length_s, windows

MOST_TICKS: Final = 400
_Lines = Sequence[tuple[str, Sequence[Window]]]


def timeline_chart(
    series: Sequence[ReportSeries],
    metric: str,
    limit_ms: float | None,
    words: str,
    warm_up_s: float,
    stalls: Sequence[StallRow] = (),
) -> Chart | None:
    """`stalls` become ticks under the lines. None when nothing was recorded."""
    length_s = window_length_s(series)
    cut = {(s.pattern, s.subject): windows(s, metric, length_s) for s in series}
    every = [w for cuts in cut.values() for w in cuts]
    reach = reach_ms([v for w in every for v in (w.p50_ms, w.p99_ms)], limit_ms)
    if reach is None:
        return None
    subjects = subjects_of(series)
    ticks_s = tick_times_s(stalls)
    legend = [
        *percentile_legend([(s.label, s.role) for s in subjects], limit_ms),
        *_stall_entry(ticks_s),
    ]
    panels = tuple(
        Panel(
            title=pattern,
            alt=f"p50 and p99 {words} of {pattern} along the run. "
            + " ".join(_summary(s, cut[pattern, s]) for s in subjects if (pattern, s) in cut),
            draw=partial(
                _draw,
                lines=[(s.role, cut[pattern, s]) for s in subjects if (pattern, s) in cut],
                extent=_extent(every, warm_up_s),
                reach=reach,
                limit_ms=limit_ms,
                ticks_s=ticks_s,
            ),
            width_in=3.35,
            height_in=2.15,
            margins=Margins(left=0.52, right=0.12, top=0.32, bottom=0.43),
        )
        for pattern in patterns_of(series)
    )
    return Chart(
        name="over_time",
        title="p50 and p99 over time",
        caption=f"Each point is the percentile of all calls in {seconds(length_s)}, the shortest "
        "windows with enough calls for a p99. A gap is a window with fewer than 299 calls."
        + _ticks_said(stalls, ticks_s),
        panels=panels,
        legend=tuple(legend),
        columns=3,
    )


def tick_times_s(stalls: Sequence[StallRow]) -> tuple[float, ...]:
    """When the stalls began that calls are left out for: the longest where there are too many."""
    used = sorted((s for s in stalls if s.used), key=lambda stall: -stall.length_ms)
    return tuple(sorted(stall.start_s for stall in used[:MOST_TICKS]))


def _stall_entry(ticks_s: Sequence[float]) -> list[Entry]:
    return [Entry("stall of the machine", "muted", "tick")] if ticks_s else []


def _ticks_said(stalls: Sequence[StallRow], ticks_s: Sequence[float]) -> str:
    if not ticks_s:
        return ""
    used = sum(stall.used for stall in stalls)
    if used > len(ticks_s):
        return f" Ticks at the bottom are the {len(ticks_s)} longest of {used:,} stalls."
    return " Ticks at the bottom are stalls of the machine."


def _extent(every: Sequence[Window], warm_up_s: float) -> tuple[float, float, float]:
    """First and last second, and where the warm-up ends."""
    end = max(w.start_s + w.length_s for w in every)
    return min(w.start_s for w in every), end, warm_up_s


def _summary(subject: ReportSubject, points: Sequence[Window]) -> str:
    known = [w.p99_ms for w in points if w.p99_ms is not None and not w.warm_up]
    if not known:
        return f"{subject.label}: no window has enough calls for a p99."
    return (
        f"{subject.label}: p99 between {milliseconds(min(known)).text} and "
        f"{milliseconds(max(known)).text}."
    )


def _draw(
    ax: Axes,
    *,
    lines: _Lines,
    extent: tuple[float, float, float],
    reach: tuple[float, float],
    limit_ms: float | None,
    ticks_s: Sequence[float],
) -> None:
    for role, points in lines:
        xs = [w.middle_s for w in points]
        few = {"marker": "o", "markersize": 2.5} if len(points) < 30 else {}
        colour = LIGHT[role]
        ax.plot(xs, gaps([w.p99_ms for w in points]), color=colour, linewidth=2, **few)  # type: ignore[arg-type]
        ax.plot(xs, gaps([w.p50_ms for w in points]), color=colour, linewidth=1)
    log_ms(ax, *reach)
    ax.set_ylabel("ms")
    seconds_axis(ax, *extent)
    stall_ticks(ax, ticks_s)
    limit_line(ax, limit_ms)


def throughput_chart(
    series: Sequence[ReportSeries],
    offered_per_s: float | None,
    warm_up_s: float,
    stalls: Sequence[StallRow] = (),
) -> Chart | None:
    """Calls begun each second on each subject, beside the rate the schedule asked for."""
    subjects = subjects_of(series)
    rates_by_subject = {s: rates([each for each in series if each.subject == s]) for s in subjects}
    every = [w for points in rates_by_subject.values() for w in points]
    if not every:
        return None
    top = nice_limit([w.calls / w.length_s for w in every if w.length_s], offered_per_s or 0)
    legend = [Entry(s.label, s.role, "line") for s in subjects]
    if offered_per_s:
        legend.append(Entry("asked for", "muted", "dash"))
    ticks_s = tick_times_s(stalls)
    legend += _stall_entry(ticks_s)
    panels = tuple(
        Panel(
            title=subject.label,
            alt=f"Calls per second on {subject.label} along the run: {_spread(points)}.",
            draw=partial(
                _draw_rate,
                role=subject.role,
                points=points,
                extent=_extent(every, warm_up_s),
                top=top,
                offered=offered_per_s,
                ticks_s=ticks_s,
            ),
            height_in=1.9,
            width_in=4.6,
        )
        for subject, points in rates_by_subject.items()
        if points
    )
    return Chart(
        name="throughput",
        title="Throughput over time",
        caption="Calls recorded per second. An open-loop schedule asks for the same rate "
        "whatever the server does." + _ticks_said(stalls, ticks_s),
        panels=panels,
        legend=tuple(legend),
    )


def _spread(points: Sequence[Window]) -> str:
    rates = [w.calls / w.length_s for w in points if not w.warm_up and w.length_s]
    if not rates:
        return "nothing after the warm-up"
    return f"between {digits(min(rates))} and {digits(max(rates))} per second"


def _draw_rate(
    ax: Axes,
    *,
    role: str,
    points: Sequence[Window],
    extent: tuple[float, float, float],
    top: float,
    offered: float | None,
    ticks_s: Sequence[float],
) -> None:
    xs = [w.middle_s for w in points]
    ax.plot(xs, [w.calls / w.length_s for w in points], color=LIGHT[role], linewidth=1.6)
    ax.set_ylim(0, top)
    ax.set_ylabel("calls/s")
    seconds_axis(ax, *extent)
    stall_ticks(ax, ticks_s)
    if offered:
        ax.axhline(offered, color=LIGHT["muted"], linewidth=1.2, linestyle=DASH)
