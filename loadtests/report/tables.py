"""Tables that more than one report shows."""

from __future__ import annotations

from loadtests.measure.results import LimitVerdict
from loadtests.report.charts.chart import Table
from loadtests.report.page import Page
from loadtests.report.rounding import MISSING, digits, plain


def limits_table(page: Page) -> Table | None:
    """Every limit with the bounds it was decided on; None when nothing was judged."""
    if not page.judged.limits:
        return None
    labels = {(s.backend, s.driver): s.label for s in page.subjects}
    rows = tuple(
        (
            x.pattern,
            labels.get((x.backend, x.driver), x.backend),
            statistic_words(x),
            in_unit(x, x.limit, exact=True),
            in_unit(x, x.estimate),
            f"{in_unit(x, x.low)} to {in_unit(x, x.high)}",
            x.status,
        )
        for x in page.judged.limits
    )
    head = ("Access pattern", "Backend", "What", "Limit", "Found", "Bounds", "Verdict")
    return Table(head, rows)


def statistic_words(limit: LimitVerdict) -> str:
    """`p99`, `p99 against baseline`, `errors`."""
    if limit.percentile is None:
        return "errors"
    return limit.percentile + (" against baseline" if limit.kind == "relative" else "")


def in_unit(limit: LimitVerdict, value: float | None, *, exact: bool = False) -> str:
    """A value of this limit with its unit; an open bound as a dash."""
    if value is None:
        return MISSING
    shown = plain if exact else digits
    if limit.unit == "ms":
        return f"{shown(value)} ms"
    return f"{shown(100 * value)}%" if limit.unit == "share" else f"{shown(value)}×"
