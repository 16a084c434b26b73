"""Mean response time of each access pattern, split into wire, client library and queueing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes

from loadtests.report.charts.chart import Chart, ChartTable, Entry, Margins, Panel, nice_limit
from loadtests.report.charts.palette import LIGHT
from loadtests.report.figures.breakdown import TimeParts

_ROW: float = 0.27  # inches


def breakdown_chart(parts: Sequence[TimeParts]) -> Chart | None:
    """None when no series has both a response and a service time."""
    if not parts:
        return None
    subjects = list(dict.fromkeys(p.subject for p in parts))
    top = nice_limit([p.response.value or 0 for p in parts])
    panels = tuple(
        Panel(
            title=f"{subject.label}: mean response time",
            alt=_alt(subject.label, [p for p in parts if p.subject == subject]),
            draw=partial(_draw, parts=[p for p in parts if p.subject == subject], top=top),
            width_in=4.6,
            height_in=0.85 + _ROW * sum(p.subject == subject for p in parts),
            margins=Margins(left=1.5, right=0.45, top=0.36, bottom=0.45),
        )
        for subject in subjects
    )
    legend = [Entry("wire", "wire"), Entry("client library", "sdk"), Entry("queueing", "queueing")]
    if any(not p.wire.known for p in parts):
        legend.append(Entry("service (its wire time is not measured)", "muted"))
    head = ("Access pattern", "Backend", "Wire", "Client library", "Queueing", "Mean response time")
    rows = tuple(
        (p.pattern, p.subject.label, p.wire.text, p.sdk.text, p.queueing.text, p.response.text)
        for p in parts
    )
    return Chart(
        name="breakdown",
        title="Where the time goes",
        caption="Means, which add up; percentiles do not. Wire: request handed to the socket until "
        "the response is read. Client library: service time − wire time. Queueing: response time "
        "− service time, the wait between the intended start and the call.",
        panels=panels,
        legend=tuple(legend),
        table=ChartTable(head, rows, figures_from=2),
    )


def _alt(label: str, parts: Sequence[TimeParts]) -> str:
    means = "; ".join(
        f"{p.pattern} {p.response.text}, of which wire {p.wire.text}, client library "
        f"{p.sdk.text}, queueing {p.queueing.text}"
        for p in parts
    )
    return f"Mean response time on {label}: {means}."


def _draw(ax: Axes, *, parts: Sequence[TimeParts], top: float) -> None:
    for y, part in enumerate(parts):
        if part.wire.value is None:
            pieces = [("muted", part.service.value or 0.0)]
        else:
            pieces = [("wire", part.wire.value), ("sdk", part.sdk.value or 0.0)]
        pieces.append(("queueing", part.queueing.value or 0.0))
        left = 0.0
        for role, width in pieces:
            ax.barh(y, width, left=left, height=0.68, color=LIGHT[role], linewidth=0)
            left += width
        ax.annotate(
            part.response.text.removesuffix(" ms"),
            (left, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_yticks(range(len(parts)), [p.pattern for p in parts])
    ax.tick_params(axis="y", labelcolor=LIGHT["ink"])
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.set_xlim(0, top)
    ax.set_xlabel("milliseconds")
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
