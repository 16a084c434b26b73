"""Every number of a report, chosen and rounded once: `build_page(run)` → `Page`.

Templates, tables and exports print these values; charts draw the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import LimitVerdict, Run
from loadtests.measure.stalls.record import StallRow, read_stalls
from loadtests.order_statistics import min_calls
from loadtests.report.figures.changes import ChangesView, changes_of
from loadtests.report.figures.ratios import BackendsView, backends_view
from loadtests.report.figures.rounding import (
    UNKNOWN,
    Number,
    change,
    change_span,
    count,
    milliseconds,
    percent,
    plain,
    span,
)
from loadtests.report.figures.series import (
    ReportSeries,
    ReportSubject,
    patterns_of,
    read_series,
    subjects_of,
)
from loadtests.report.figures.stalls import left_out_of
from loadtests.report.figures.verdict_view import (
    NOT_JUDGED,
    REFERENCE,
    ShownStatus,
    VerdictView,
    view_verdict,
)
from loadtests.report.setting import Setting, measured_of, read_setting

PERCENTILES: Final = {"p50": 0.5, "p99": 0.99}
METRIC_WORDS: Final = {
    "response_time": "response time",
    "service_time": "service time",
    "wire_time": "wire time",
}


@dataclass(frozen=True, slots=True)
class TableCell:
    """A percentile with its interval, its target and its growth against the baseline.

    `undisturbed` is the same percentile over the calls that no stall of the machine can have
    touched, where some were left out.
    """

    value: Number
    low_ms: float | None = None
    high_ms: float | None = None
    span: str = ""
    target: Number = UNKNOWN
    change: Number = UNKNOWN
    change_span: str = ""
    undisturbed: Number = UNKNOWN

    @property
    def over(self) -> bool:
        """Whether the value is beyond its target (which alone decides nothing)."""
        value, target = self.value.value, self.target.value
        return value is not None and target is not None and value > target


@dataclass(frozen=True, slots=True)
class TableRow:
    """One access pattern on one subject."""

    pattern: str
    subject: ReportSubject
    p50: TableCell
    p99: TableCell
    targets: tuple[str, ...]
    calls: Number
    errors: Number
    errors_said: str
    status: ShownStatus
    limits: tuple[LimitVerdict, ...]
    left_out: Number = UNKNOWN


@dataclass(frozen=True, slots=True)
class Page:
    """What a report says, before it is laid out."""

    run: Run
    setting: Setting
    measured_s: float
    metric: str
    judged: VerdictView
    rows: tuple[TableRow, ...]
    series: tuple[ReportSeries, ...]
    subjects: tuple[ReportSubject, ...]
    patterns: tuple[str, ...]
    versus: BackendsView
    stalls: tuple[StallRow, ...] = ()
    changes: ChangesView | None = None

    @property
    def left_out(self) -> float | None:
        """The share of the calls left out as disturbed by the machine; None where none was."""
        return left_out_of(self.run.info)

    @property
    def has_changes(self) -> bool:
        """Whether any series was held against a baseline."""
        return any(r.p50.change.known or r.p99.change.known for r in self.rows)

    @property
    def metric_words(self) -> str:
        """The judged time in words."""
        return METRIC_WORDS[self.metric]

    def row(self, pattern: str, subject: ReportSubject) -> TableRow | None:
        """The row of a pattern on a subject, if it was measured."""
        rows = (r for r in self.rows if r.pattern == pattern and r.subject == subject)
        return next(rows, None)

    @property
    def line_ms(self) -> float | None:
        """The p99 target for charts: what all series share, else what the run's settings name."""
        if self.judged.limits:
            return self.target_ms("p99")
        return self.judged.slo.p99_ms if self.judged.slo else None

    def target_ms(self, percentile: str) -> float | None:
        """The target all series share for `p50` or `p99`, or None where they differ."""
        cells = [r.p50 if percentile == "p50" else r.p99 for r in self.rows]
        targets = {c.target.value for c in cells if c.value.known}
        return targets.pop() if len(targets) == 1 else None


def build_page(run: Run) -> Page:
    """Choose and round every number of `run`'s report."""
    series = read_series(run)
    judged = view_verdict(run)
    setting = read_setting(run)
    metric = _metric(judged)
    disturbed = left_out_of(run.info) is not None
    versus = backends_view(run)
    subjects = tuple(subjects_of(series))
    changes = changes_of(run, judged, subjects)
    if changes:
        judged = changes.as_headline(judged)
    rows = tuple(_row(each, judged, metric, changes, disturbed=disturbed) for each in series)
    return Page(
        run=run,
        setting=setting,
        measured_s=measured_of(run),
        metric=metric,
        judged=judged,
        rows=rows,
        series=tuple(series),
        subjects=subjects,
        patterns=tuple(patterns_of(series)),
        versus=versus,
        stalls=tuple(read_stalls(run.path / "stalls.csv")) if run.info.stalls else (),
        changes=changes,
    )


def _metric(judged: VerdictView) -> str:
    """The time that the run was judged by, else the one that its limits name."""
    named = judged.metric
    if judged.status == NOT_JUDGED and judged.slo and judged.slo.metric:
        named = judged.slo.metric
    return named if named in METRIC_WORDS else "response_time"


def _row(
    series: ReportSeries,
    judged: VerdictView,
    metric: str,
    changes: ChangesView | None,
    *,
    disturbed: bool,
) -> TableRow:
    limits = judged.limits_of(series.subject, series.pattern)
    is_reference = changes is not None and series.subject in changes.references and not limits
    failed = series.failed
    named = [f"{name} {n:,}" for name, n in sorted(series.errors.items())]
    if series.unfinished:
        named.append(f"unfinished {series.unfinished:,}")
    share = f" ({percent(failed / series.calls).text})" if series.calls and failed else ""
    return TableRow(
        pattern=series.pattern,
        subject=series.subject,
        p50=_cell(series, "p50", judged, metric, disturbed=disturbed),
        p99=_cell(series, "p99", judged, metric, disturbed=disturbed),
        targets=tuple(
            f"{x.percentile} ≤ {plain(x.limit)} ms" for x in limits if x.kind == "absolute"
        ),
        calls=count(series.calls),
        errors=Number(float(failed), f"{failed:,}{share}"),
        errors_said=", ".join(named),
        status=REFERENCE if is_reference else judged.status_of(series.subject, series.pattern),
        limits=limits,
        left_out=percent(series.left_out) if disturbed and series.left_out is not None else UNKNOWN,
    )


def _cell(
    series: ReportSeries, name: str, judged: VerdictView, metric: str, *, disturbed: bool
) -> TableCell:
    """A percentile with what the judge says of it."""
    limits = {
        x.kind: x for x in judged.limits_of(series.subject, series.pattern) if x.percentile == name
    }
    absolute, growth = limits.get("absolute"), limits.get("relative")
    estimate = judged.estimate(series.subject, series.pattern, metric, name)
    value_ms = series.quantile_ms(metric, PERCENTILES[name])
    if value_ms is None:
        return TableCell(_too_few_calls(series, name, metric))
    target_ms = absolute.limit if absolute else None
    return TableCell(
        value=milliseconds(value_ms, target_ms),
        low_ms=estimate.low_ms if estimate else None,
        high_ms=estimate.high_ms if estimate else None,
        span=span(estimate.low_ms, estimate.high_ms) if estimate else "",
        target=milliseconds(target_ms),
        change=change(_growth(growth.estimate)) if growth else UNKNOWN,
        change_span=change_span(_growth(growth.low), _growth(growth.high)) if growth else "",
        undisturbed=(
            milliseconds(series.undisturbed_ms(metric, PERCENTILES[name]), target_ms)
            if disturbed
            else UNKNOWN
        ),
    )


def _growth(ratio: float | None) -> float | None:
    return None if ratio is None else ratio - 1


def _too_few_calls(series: ReportSeries, name: str, metric: str) -> Number:
    histogram = series.histograms.get(metric)
    had = histogram.total if histogram is not None else 0
    needed = min_calls(PERCENTILES[name])
    return Number(None, f"needs {needed:,} calls, had {had:,}" if had else "no calls")
