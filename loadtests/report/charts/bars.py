"""p50 and p99 of every access pattern as bars, subjects beside each other, with the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from loadtests.report.charts.axes import PLATE, limit_line
from loadtests.report.charts.chart import Chart, ChartTable, Entry, Margins, Panel, nice_limit
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.rounding import Number, plain
from loadtests.report.figures.series import ReportSubject

MAX_SQUEEZE: Final = 3.0
_BAR: float = 0.19  # inches


@dataclass(frozen=True, slots=True)
class Bar:
    """One percentile of one series; the interval's ends are None where there is none."""

    pattern: str
    subject: ReportSubject
    value: Number
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarGroup:
    """One percentile of all series, and the target they share, in milliseconds."""

    name: str
    bars: tuple[Bar, ...]
    limit_ms: float | None


def bars_chart(groups: Sequence[BarGroup], patterns: Sequence[str], metric: str) -> Chart | None:
    """Both panels on one scale where that leaves room to see the bars of both."""
    values = [b.value.value for g in groups for b in g.bars if b.value.value is not None]
    if not values:
        return None
    limits = [group.limit_ms for group in groups if group.limit_ms is not None]
    tops = [_top([group] if _is_known(group) else groups) for group in groups]
    # one scale for both, unless the slower percentile would squeeze the other one's bars
    one_scale = max(tops) <= MAX_SQUEEZE * min(tops)
    if one_scale:
        tops = [_top(groups)] * len(groups)
    subjects = list(dict.fromkeys(b.subject for g in groups for b in g.bars))
    height = 0.75 + len(patterns) * (len(subjects) * _BAR + 0.13)
    panels = tuple(
        Panel(
            title=f"{g.name} of {metric}",
            alt=_alt(g),
            draw=partial(_draw, group=g, patterns=patterns, subjects=subjects, top=top),
            width_in=4.6,
            height_in=height,
            margins=Margins(left=1.5, right=0.3, top=0.48, bottom=0.45),
        )
        for g, top in zip(groups, tops, strict=True)
    )
    legend = [Entry(s.label, s.role) for s in subjects]
    if limits:
        legend.append(Entry("target", "limit", "dash"))
    return Chart(
        name="p50_p99",
        title="p50 and p99 of each access pattern",
        caption="Shorter is better. "
        + ("Both charts have the same scale. " if one_scale else "Each chart has its own scale. ")
        + "Thin lines are 95% confidence intervals, where there is one.",
        panels=panels,
        legend=tuple(legend),
        table=ChartTable(
            ("Access pattern", "Percentile", *(s.label for s in subjects)),
            tuple(_row(p, g, subjects) for p in patterns for g in groups),
        ),
    )


def _is_known(group: BarGroup) -> bool:
    return any(bar.value.value is not None for bar in group.bars)


def _top(groups: Sequence[BarGroup]) -> float:
    """The end of a scale that shows the bars of `groups`, their targets and usual intervals."""
    bars = [bar for group in groups for bar in group.bars]
    values = [bar.value.value for bar in bars if bar.value.value is not None]
    limits = [group.limit_ms for group in groups if group.limit_ms is not None]
    highs = [bar.high for bar in bars if bar.high is not None]
    usual = [high for high in highs if high < 3 * max(values, default=0.0)]
    return nice_limit([*values, *limits, *usual])


def _row(pattern: str, group: BarGroup, subjects: Sequence[ReportSubject]) -> tuple[str, ...]:
    texts = {b.subject: b.value.text for b in group.bars if b.pattern == pattern}
    return (pattern, group.name, *(texts.get(s, "–") for s in subjects))


def _alt(group: BarGroup) -> str:
    known = [b for b in group.bars if b.value.value is not None]
    if not known:
        return f"No series has enough calls for a {group.name}."
    slowest = max(known, key=lambda b: b.value.value or 0)
    target = f"; the target is {group.limit_ms:g} ms" if group.limit_ms is not None else ""
    return (
        f"Bars of {group.name} for each access pattern. The longest is {slowest.pattern} on "
        f"{slowest.subject.label} at {slowest.value.text}{target}."
    )


def _draw(
    ax: Axes,
    *,
    group: BarGroup,
    patterns: Sequence[str],
    subjects: Sequence[ReportSubject],
    top: float,
) -> None:
    span = 1.0
    thick = span * _BAR / (len(subjects) * _BAR + 0.13)
    for bar in group.bars:
        place = subjects.index(bar.subject) - (len(subjects) - 1) / 2
        y = patterns.index(bar.pattern) + place * thick
        if bar.value.value is None:
            ax.text(0, y, f" {bar.value.text}", va="center", color=LIGHT["muted"], fontsize=8)
            continue
        value = bar.value.value
        ax.barh(y, value, height=thick * 0.9, color=LIGHT[bar.subject.role], linewidth=0)
        reach = value
        if bar.low is not None and bar.high is not None:
            ax.plot([bar.low, min(bar.high, top)], [y, y], color=LIGHT["ink"], linewidth=1)
            reach = max(value, min(bar.high, top))
        text = bar.value.text.removesuffix(" ms")
        inside = reach > 0.88 * top
        ax.annotate(
            text,
            (reach, y),
            xytext=(-3 if inside else 3, 0),
            textcoords="offset points",
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color=LIGHT["paper"] if inside else LIGHT["ink"],
            bbox=None if inside else PLATE,
            zorder=4,
        )
    ax.set_ylim(len(patterns) - 0.5, -0.5)
    ax.set_yticks(range(len(patterns)), patterns)
    ax.tick_params(axis="y", labelcolor=LIGHT["ink"])
    ax.set_xlim(0, top)
    ax.set_xlabel("milliseconds")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: plain(v)))
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    limit_line(ax, group.limit_ms, vertical=True)
