"""Several runs held against the first: figures, growth with intervals, and what differed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import compare_runs
from loadtests.judge.fingerprint import differences
from loadtests.measure.results import PercentileRatio, Run
from loadtests.patterns import ALL_PATTERNS
from loadtests.report.figures.ratios import SHOWN, has_enough_calls
from loadtests.report.figures.rounding import clean
from loadtests.report.figures.series import ReportSeries
from loadtests.report.page import Page, build_page

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Side:
    """One run of the comparison: its letter, page, and how it compares with run A."""

    letter: str
    page: Page
    rows: Mapping[tuple[str, str, str], PercentileRatio]
    differs: tuple[str, ...]
    problem: str = ""

    def row(self, series: ReportSeries, percentile: str) -> PercentileRatio | None:
        """The ratio of one series' percentile to run A's."""
        return self.rows.get((series.subject.backend, series.pattern, percentile))

    def counts(self, percentile: str) -> tuple[int, int, int]:
        """How many ratios are above 1 for certain, below 1 for certain, and undecided."""
        rows = [row for (_, _, name), row in self.rows.items() if name == percentile]
        above = sum(row.low is not None and row.low > 1 for row in rows)
        below = sum(row.high is not None and row.high < 1 for row in rows)
        return above, below, len(rows) - above - below

    @property
    def sentence(self) -> str:
        """`B against A: p50 slower for 2, faster for none, undecided for 16; p99 …`."""
        if self.problem:
            return f"{self.letter} cannot be compared with A: {self.problem}"
        parts = []
        for name in SHOWN:
            above, below, open_ = self.counts(name)
            parts.append(
                f"{name} slower for {above or 'none'}, faster for {below or 'none'}, "
                f"undecided for {open_ or 'none'} of {above + below + open_}"
            )
        return f"{self.letter} against A: {'; '.join(parts)}."


def compare_pages(runs: Sequence[Run]) -> list[Side]:
    """Every run beside the first, A; runs under other conditions are compared and said to be."""
    first = runs[0]
    sides = [Side("A", build_page(first), {}, ())]
    for number, run in enumerate(runs[1:], 1):
        rows, problem = _rows(first, run, sides[0].page.metric)
        # more than 26 runs: A1, B1, …
        letter = LETTERS[number % len(LETTERS)] + (
            str(number // len(LETTERS)) if number > 25 else ""
        )
        differs = tuple(clean(text) for text in differences(first.info, run.info))
        sides.append(Side(letter, build_page(run), rows, differs, problem))
    return sides


def _rows(
    first: Run, run: Run, metric: str
) -> tuple[dict[tuple[str, str, str], PercentileRatio], str]:
    try:
        compared = compare_runs(
            [first], [run], Relative(), 0.95, metric=metric, allow_differences=True
        )
    except ResultsError as error:
        return {}, clean(error.message, longest=400)
    return {
        (row.subject.split("/")[0], clean(row.pattern), row.percentile): row
        for row in compared.rows
        if row.percentile in SHOWN and row.pattern != ALL_PATTERNS and has_enough_calls(row)
    }, ""
