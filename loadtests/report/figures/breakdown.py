"""Where the time goes: queueing, client library and wire, as means that add up.

Percentiles do not subtract: the p99 of response time and the p99 of service time are different
calls. Means over the same calls do: mean(response) − mean(service) is the mean queueing time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.report.figures.rounding import Number, milliseconds
from loadtests.report.figures.series import ReportSeries, ReportSubject


@dataclass(frozen=True, slots=True)
class TimeParts:
    """Mean milliseconds of one series; wire and sdk are unknown where the wire is not timed."""

    pattern: str
    subject: ReportSubject
    wire: Number
    sdk: Number
    queueing: Number
    service: Number
    response: Number
    note: str = ""


def parts_of(series: Sequence[ReportSeries]) -> list[TimeParts]:
    """The breakdown of every series that has a response and a service time."""
    parts_by_series = [_parts(each) for each in series]
    return [parts for parts in parts_by_series if parts is not None]


def _parts(series: ReportSeries) -> TimeParts | None:
    response, service = series.mean_ms("response_time"), series.mean_ms("service_time")
    if response is None or service is None:
        return None
    wire = series.mean_ms("wire_time")
    totals = {m: h.total for m, h in series.histograms.items() if h.total}
    note = ""
    if len(set(totals.values())) > 1:
        # means over different calls do not subtract either; say so rather than hide it
        counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in totals.items())
        note = f"counted over different calls ({counts}), so the parts are approximate"
    return TimeParts(
        pattern=series.pattern,
        subject=series.subject,
        wire=milliseconds(wire),
        sdk=milliseconds(max(service - wire, 0.0) if wire is not None else None),
        queueing=milliseconds(max(response - service, 0.0)),
        service=milliseconds(service),
        response=milliseconds(response),
        note=note,
    )
