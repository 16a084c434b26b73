"""Stalls of the machine in words: how many, how long, and which calls were left out."""

from __future__ import annotations

from typing import Final

from loadtests.judge.sentences import undisturbed_words
from loadtests.measure.results import Basis, RunInfo, StallInfo
from loadtests.report.figures.rounding import digits, percent

SHOWN_FROM: Final = 0.005  # below it, both sets of calls have the same figures
_METERS = {
    "realtime": "a real-time hiccup meter on each CPU",
    "ordinary": "an ordinary hiccup meter on each CPU",
}


def left_out_of(info: RunInfo) -> float | None:
    """The share of a run's calls that was left out; None where it is not worth showing or unknown.

    run.json always has it.
    """
    stalls = info.stalls
    return stalls.left_out if stalls and stalls.left_out >= SHOWN_FROM else None


def basis_words(left_out: float) -> str:
    """`on 93% of calls, undisturbed by the machine`."""
    return undisturbed_words(1 - left_out)


def stalls_sentence(stalls: StallInfo | None) -> str:
    """Meter, stalls, dead time, share left out and throttled time."""
    if stalls is None:
        return "Stalls of the machine were not measured in this run."
    meter = _METERS.get(stalls.meter, stalls.meter)
    if not stalls.stalls:
        text = f"No stall of the machine was seen by {meter}"
    else:
        longest = f", the longest {digits(stalls.longest_ms)} ms"
        text = (
            f"Stalls of the machine, seen by {meter}: {stalls.stalls:,}{longest}; {stalls.used:,} "
            f"of at least {digits(stalls.min_used_ms, 2)} ms are used"
        )
    text += (
        f". Dead time around them: {percent(stalls.dead_time).text} of the measured time; calls "
        f"left out: {percent(stalls.left_out).text}"
    )
    if stalls.unclassified:
        text += f" ({stalls.unclassified:,} because the meters reported too late)"
    if stalls.throttled_ms is None:
        return f"{text}. Throttling by a CPU limit is not known here."
    return (
        f"{text}. The CPU limit of the control group held the processes back for "
        f"{digits(stalls.throttled_ms)} ms, which is never excused."
    )


def left_out_words(stalls: StallInfo | None, basis: Basis) -> str:
    """Which share of the calls was left out of a comparison, and why."""
    if stalls is None:
        return "stalls of the machine were not measured"
    if basis == "undisturbed":
        return f"{percent(stalls.left_out).text} of calls left out: the machine stalled near them"
    return "all calls compared" + ", disturbed ones included" * bool(stalls.left_out)
