"""Throughput against p99: how far the rate can rise before the promise breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from loadtests.measure.results import Run
from loadtests.report.axes import limit_line, log_ms, reach_ms
from loadtests.report.charts import Chart, Entry, Panel, Table, nice_limit
from loadtests.report.palette import LIGHT, SUBJECTS
from loadtests.report.rounding import UNKNOWN, Number, clean, milliseconds, per_second
from loadtests.report.series import NAMES


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried."""

    backend: str
    rate: Number
    achieved: Number
    p50: Number
    p99: Number
    verdict: str


def steps_of(run: Run) -> list[Step]:
    """Read `capacity_run` of run.json.

    [{backend?, rate_per_s, achieved_per_s, p50_ms, p99_ms, verdict}]; other entries are left out.
    """
    stored = (run.info.model_extra or {}).get("capacity_run")
    if isinstance(stored, Mapping):
        stored = stored.get("steps")
    entries = stored if isinstance(stored, list) else []
    steps = [_step(one) for one in entries if isinstance(one, Mapping)]
    known = [s for s in steps if s.rate.known]
    return sorted(known, key=lambda s: (s.backend, s.rate.value or 0.0))


def _step(one: Mapping[str, Any]) -> Step:
    backend = str(one.get("backend", ""))
    return Step(
        backend=NAMES.get(backend, clean(backend)),
        rate=_number(one.get("rate_per_s"), per_second),
        achieved=_number(one.get("achieved_per_s"), per_second),
        p50=_number(one.get("p50_ms"), milliseconds),
        p99=_number(one.get("p99_ms"), milliseconds),
        verdict=clean(one.get("verdict") or "–"),
    )


def _number(value: Any, rounded: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    number: Number = rounded(float(value))
    return number


def capacity_table(steps: Sequence[Step]) -> Table:
    """A row for each step."""
    head = ("Asked for", "Achieved", "p50", "p99", "Verdict")
    several = len({s.backend for s in steps}) > 1
    rows = tuple(
        (
            s.rate.text,
            *((s.backend,) if several else ()),
            s.achieved.text,
            s.p50.text,
            s.p99.text,
            s.verdict,
        )
        for s in steps
    )
    return Table((head[0], "Backend", *head[1:]) if several else head, rows)


def capacity_chart(steps: Sequence[Step], limit_ms: float | None) -> Chart | None:
    """None when no step has a p99."""
    known = [s for s in steps if s.p99.known]
    reach = reach_ms([v.value for s in known for v in (s.p50, s.p99)], limit_ms)
    if reach is None:
        return None
    backends = list(dict.fromkeys(s.backend for s in known))
    roles = {b: SUBJECTS[min(i, len(SUBJECTS) - 1)] for i, b in enumerate(backends)}
    legend = [Entry(f"{b} p99".strip(), roles[b], "line") for b in backends]
    legend += [Entry(f"{b} p50".strip(), roles[b], "thin") for b in backends]
    if limit_ms is not None:
        legend.append(Entry("target for p99", "limit", "dash"))
    said = "; ".join(f"{s.achieved.text}: p99 {s.p99.text}, {s.verdict}" for s in known)
    panel = Panel(
        title="p50 and p99 against throughput",
        alt=f"Throughput against p99. {said}.",
        draw=partial(_draw, steps=known, roles=roles, reach=reach, limit_ms=limit_ms),
        width_in=6.2,
        height_in=3.2,
    )
    return Chart(
        name="capacity",
        title="Throughput against p99",
        caption="Each point is one step of the capacity run, at the rate it achieved. A filled "
        "point kept the promise.",
        panels=(panel,),
        legend=tuple(legend),
        table=capacity_table(steps),
    )


def _draw(
    ax: Axes,
    *,
    steps: Sequence[Step],
    roles: Mapping[str, str],
    reach: tuple[float, float],
    limit_ms: float | None,
) -> None:
    for backend, role in roles.items():
        found = [s for s in steps if s.backend == backend]
        xs = [_x(s) for s in found]
        colour = LIGHT[role]
        ax.plot(xs, [s.p99.value or math.nan for s in found], color=colour, linewidth=2)
        ax.plot(xs, [s.p50.value or math.nan for s in found], color=colour, linewidth=1)
        for x, step in zip(xs, found, strict=True):
            face = colour if step.verdict == "PASS" else LIGHT["paper"]
            ax.plot([x], [step.p99.value or math.nan], "o", color=colour, markerfacecolor=face)
    log_ms(ax, *reach)
    ax.set_xlim(0, nice_limit([_x(s) for s in steps]))
    ax.set_xlabel("calls/s")
    ax.set_ylabel("ms")
    limit_line(ax, limit_ms)


def _x(step: Step) -> float:
    return step.achieved.value or step.rate.value or 0.0
