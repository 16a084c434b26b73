"""How each number was obtained, for the report's last section."""

from __future__ import annotations

from collections.abc import Iterator

from loadtests.order_statistics import min_calls
from loadtests.report.figures.capacity import is_capacity_run
from loadtests.report.figures.rounding import plain
from loadtests.report.page import Page


def method_of(page: Page) -> list[tuple[str, str]]:
    """Terms and their explanations, fitting to what this run has."""
    return list(_terms(page))


def _terms(page: Page) -> Iterator[tuple[str, str]]:
    yield (
        "Response, service and wire time",
        "Response time: intended start until the call is done, so a server's stall counts for "
        "every arrival that had to wait. Service time: the call begun until it is done, client "
        "library included. Wire time: request bytes handed to the socket until the response is "
        f"read. Judged here: {page.metric_words}.",
    )
    yield (
        "p50, p99",
        "From HdrHistograms (3 significant digits, nanoseconds), recorded each second and merged "
        "by addition; percentiles are never averaged. Failed and unfinished calls are in them. "
        f"Shown only where there are enough calls: p99 from {min_calls(0.99):,} calls, p99.9 "
        f"from {min_calls(0.999):,}, below which no 95% upper bound exists.",
    )
    if page.judged.estimates or page.judged.limits:
        level = plain(100 * page.judged.confidence)
        yield (
            "Intervals",
            f"{level}% confidence intervals, from order statistics with the effective number of "
            "calls: neighbouring calls are alike, so a second of calls is worth fewer independent "
            "ones. The bounds a limit is decided on are one-sided.",
        )
        yield (
            "Verdict",
            "PASS: every upper bound is within its limit. FAIL: a lower bound is beyond its limit, "
            "corrected for the number of limits (Holm). INCONCLUSIVE: neither, more calls are "
            "needed. INVALID: the load generator distorted the run, so it says nothing of the "
            "database.",
        )
    if is_capacity_run(page.run):
        yield from _of_climb()
    if page.has_changes:
        yield (
            "Baseline change",
            f"Growth of a percentile against {page.judged.baseline or 'the baseline'}, with the "
            "variation between runs in its interval where the baseline has several.",
        )
    yield (
        "Where the time goes",
        "Differences of means over the same calls, from the same histograms. Percentiles of two "
        "times belong to different calls, so their difference would mean nothing.",
    )
    yield (
        "Over time and heatmap",
        "The same histograms, merged over windows. The warm-up is shown and never judged.",
    )
    yield (
        "Load generator",
        "Loop lag, GC pauses, CPU, steal, lateness and unfinished calls, sampled each second. A "
        "signal beyond its limit makes the run INVALID.",
    )


def _of_climb() -> Iterator[tuple[str, str]]:
    yield (
        "A step",
        "The calls that ended in it, without its first seconds (settle). Calls that were under "
        "way or waiting when it ended count as slower than any limit, so a backlog cannot hide "
        "behind its end.",
    )
    yield (
        "A step's verdict",
        "PASS: significantly no more than 1% of its calls took longer than the limit, and the "
        "offered load was completed. FAIL: significantly more did, or the load was not completed, "
        "or there were significantly too many errors. INCONCLUSIVE: neither is significant. "
        "INVALID: the load generator was the bottleneck, by the rules for a whole run, so the step "
        "says nothing about the database.",
    )
    yield (
        "Knee",
        "The step of highest power, throughput over p99 (Kleinrock 1979), once a later step has "
        "less.",
    )
