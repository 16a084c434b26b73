"""The change from one subject of a run to the other: a summary in words, and its rows.

What is said of all access patterns together is as certain as an interval says: no pattern is slower
than the largest of their upper bounds, unless the bound of the slowest one is too low. Sentences
about single patterns name only those that the judge calls slower, faster or undecided.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadtests.judge.judging import worst_status
from loadtests.measure.results import Direction, LimitVerdict, Run, Status, SubjectInfo
from loadtests.patterns import ALL_PATTERNS, DISPLAY_NAMES
from loadtests.report.figures.rounding import MISSING, change, clean
from loadtests.report.figures.series import ReportSubject
from loadtests.report.figures.verdict_view import VerdictView

TOGETHER: Final = "all patterns together"
_MOST_NAMED: Final = 3
_STATES: Final[dict[Status, str]] = {
    "FAIL": "slower",
    "INCONCLUSIVE": "undecided",
    "PASS": "within the limits",
    "INVALID": "not judged",
}


@dataclass(frozen=True, slots=True)
class PatternChange:
    """One access pattern, or all together: the limit on the growth of each percentile."""

    label: str
    limits: tuple[LimitVerdict, ...]

    @property
    def is_overall(self) -> bool:
        """Whether it is the mean over all access patterns."""
        return self.limits[0].pattern == ALL_PATTERNS

    @property
    def status(self) -> Status:
        """The worst status of its percentiles."""
        return worst_status([limit.status for limit in self.limits])

    @property
    def state(self) -> str:
        """Its status in words."""
        return _STATES[self.status]

    @property
    def rank(self) -> int:
        """What is overall first, then what is slower, undecided, or significantly changed."""
        if self.is_overall:
            return 0
        if self.status in ("FAIL", "INCONCLUSIVE"):
            return 1 if self.status == "FAIL" else 2
        return 3 if any(limit.direction for limit in self.limits) else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView:
    """What changed from `reference` to `subject`; `backends` names the databases.

    `status` is that of the comparison alone. `sentence` decides, `notes` say what it leaves out.
    The rows that matter most come first. `references` are the subjects that were compared
    with, and `versions` what differs in the environments of two named subjects.
    """

    subject: str
    reference: str
    backends: str
    status: Status
    sentence: str
    notes: tuple[str, ...]
    rows: tuple[PatternChange, ...]
    references: tuple[ReportSubject, ...]
    versions: str = ""

    @property
    def limits(self) -> list[LimitVerdict]:
        """Every limit, row by row."""
        return [limit for row in self.rows for limit in row.limits]

    def as_headline(self, judged: VerdictView) -> VerdictView:
        """The verdict with the comparison's sentences in place of the stored one.

        Unless it is also one by limits of the subject itself, or there is nothing to say.
        """
        own = any(limit.kind != "relative" for limit in judged.limits)
        if own or self.status == "INVALID" or self.status != judged.status:
            return judged
        return replace(judged, sentence=f"{self.sentence}.", details=" ".join(self.notes))


def changes_of(
    run: Run, judged: VerdictView, subjects: Sequence[ReportSubject]
) -> ChangesView | None:
    """The comparison of two subjects of the run; None where the run was not made for one."""
    verdict = run.info.verdict
    if verdict is None or verdict.baseline is None or verdict.baseline.runs != (run.info.id,):
        return None
    limits = [limit for limit in judged.limits if _is_drawable(limit)]
    compared = {(limit.backend, limit.driver) for limit in limits}
    ours = [subject for subject in subjects if (subject.backend, subject.driver) in compared]
    others = [subject for subject in subjects if subject not in ours]
    if not ours or not others:
        return None
    rows = _rows(limits, several=len({subject.backend for subject in ours}) > 1)
    status = _status(judged, rows)
    backends = list(dict.fromkeys(subject.backend for subject in [*ours, *others]))
    one_backend = {s.backend for s in ours} == {s.backend for s in others}
    return ChangesView(
        subject=_names(ours, by_driver=one_backend),
        reference=_names(others, by_driver=one_backend),
        backends=" and ".join(DISPLAY_NAMES.get(name, clean(name)) for name in backends),
        status=status,
        sentence=judged.sentence if status == "INVALID" else _sentence(status, rows),
        notes=() if status == "INVALID" else tuple(_notes(status, rows)),
        rows=rows,
        references=tuple(others),
        versions=_versions(run.info.subjects, others[0], ours[0]),
    )


def _said(row: PatternChange, limits: Iterable[LimitVerdict]) -> str:
    """`cart.add p50 −12%, p99 −9%`."""
    named = (f"{limit.percentile} {change(limit.estimate - 1).text}" for limit in limits)
    return f"{TOGETHER if row.is_overall else row.label} {', '.join(named)}"


def _is_drawable(limit: LimitVerdict) -> bool:
    """Whether it limits a growth, and all of its figures are possible ratios."""
    figures = (limit.estimate, limit.limit, limit.high)
    return limit.kind == "relative" and all(figure is None or figure > 0 for figure in figures)


def _rows(limits: Sequence[LimitVerdict], *, several: bool) -> tuple[PatternChange, ...]:
    by_pattern: dict[tuple[str, str, str], list[LimitVerdict]] = defaultdict(list)
    for limit in limits:
        by_pattern[limit.backend, limit.driver, limit.pattern].append(limit)
    rows = [
        PatternChange(
            f"{pattern} ({DISPLAY_NAMES.get(backend, clean(backend))})" if several else pattern,
            tuple(of_pattern),
        )
        for (backend, _, pattern), of_pattern in by_pattern.items()
    ]
    return tuple(sorted(rows, key=lambda row: row.rank))


def _status(judged: VerdictView, rows: Sequence[PatternChange]) -> Status:
    """As the judge decides it: the overall limits do, where there are any."""
    if judged.status == "INVALID":
        return judged.status
    if any(row.status == "FAIL" for row in rows):
        return "FAIL"
    deciding = [row for row in rows if row.is_overall] or rows
    return worst_status([row.status for row in deciding])


def _versions(
    infos: Sequence[SubjectInfo], reference: ReportSubject, subject: ReportSubject
) -> str:
    """`boto3 1.40.0 → 1.44.1, Python 3.11.7 → 3.12.1`, where they differ and are known."""
    by_name = {
        (info.backend, info.name): {**info.packages, "Python": info.python or MISSING}
        for info in infos
    }
    before = by_name.get((reference.backend, reference.driver), {})
    after = by_name.get((subject.backend, subject.driver), {})
    return ", ".join(
        f"{clean(package)} {clean(before.get(package, MISSING))} → {clean(version)}"
        for package, version in after.items()
        if before and before.get(package, MISSING) != version
    )


def _names(subjects: Sequence[ReportSubject], *, by_driver: bool) -> str:
    names = (clean(s.driver) if by_driver else s.label for s in subjects)
    return " and ".join(dict.fromkeys(names))


def _sentence(status: Status, rows: Sequence[PatternChange]) -> str:
    """The sentence that a reviewer needs, without a full stop."""
    single = [row for row in rows if not row.is_overall] or rows
    if status == "FAIL":
        return f"Slower: {_listed(rows, status='FAIL')}"
    if status == "INCONCLUSIVE":
        return f"Undecided: {_listed(rows, status='INCONCLUSIVE')}"
    decided = all(row.status == "PASS" for row in single)
    sentence = (
        _pattern_bounds(single)
        if decided
        else _bounds(
            [row for row in rows if row.is_overall],
            f"{_capital(TOGETHER)} are faster",
            f"{_capital(TOGETHER)} are not slower",
        )
    )
    faster = _listed(single, direction="faster")
    return f"{sentence}; faster: {faster}" if faster else sentence


def _notes(status: Status, rows: Sequence[PatternChange]) -> Iterator[str]:
    """What the deciding sentence leaves out: bounds, undecided and changed access patterns."""
    single = [row for row in rows if not row.is_overall] or rows
    if status == "INCONCLUSIVE":
        yield f"Nothing is shown to be slower. {_pattern_bounds(single)}."
    if status == "FAIL":
        counts = Counter(row.state for row in single)
        stated = [f"{counts[state]} {state}" for state in _STATES.values() if counts[state]]
        yield f"Access patterns: {', '.join(stated)}."
    undecided = _listed(rows, status="INCONCLUSIVE")
    if undecided and status != "INCONCLUSIVE":
        yield f"Undecided, with intervals too wide: {undecided}."
    if slower := _listed(rows, direction="slower", status="PASS"):
        yield f"Significantly slower, and within the limits: {slower}."
    faster = _listed(rows, direction="faster")
    if faster and status != "PASS":
        yield f"Faster: {faster}."


def _pattern_bounds(rows: Sequence[PatternChange]) -> str:
    return _bounds(rows, "Every access pattern is faster", "No access pattern is slower")


def _bounds(rows: Sequence[PatternChange], faster: str, slower: str) -> str:
    """By how much nothing is slower, for each percentile; an open bound as such.

    For a fixed set of ratios, the largest upper bound is below the largest ratio only if the bound
    of that ratio is: it needs no correction for their number.
    """
    by_percentile: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for limit in row.limits:
            by_percentile[limit.percentile or ""].append(_upper_bound(limit))
    bounds = {percentile: max(highs) for percentile, highs in by_percentile.items()}
    below = [percentile for percentile, bound in bounds.items() if bound <= 1.0]
    above = [
        f"{_growth(bound)} at {percentile}"
        for percentile, bound in bounds.items()
        if 1.0 < bound < math.inf
    ]
    open_ended = [percentile for percentile, bound in bounds.items() if bound == math.inf]
    sentences = [
        f"{faster} at {' and '.join(below)}" * bool(below),
        f"{slower} by more than {' or '.join(above)}" * bool(above),
        f"{' and '.join(open_ended)}: too few calls for an upper bound" * bool(open_ended),
    ]
    return "; ".join(sentence for sentence in sentences if sentence)


def _upper_bound(limit: LimitVerdict) -> float:
    """The bound that a growth is shown to be below: a limit that holds is one itself."""
    high = math.inf if limit.high is None else limit.high
    return min(high, limit.limit) if limit.status == "PASS" else high


def _growth(bound: float) -> str:
    """A bound of a ratio as a growth, rounded up: `14%`, `0.6%`."""
    percent = 100 * (bound - 1) - 1e-9  # 1.2 - 1 is a little more than 0.2
    return f"{math.ceil(percent):,}%" if percent > 1 else f"{math.ceil(10 * percent) / 10:g}%"


def _listed(
    rows: Sequence[PatternChange], *, status: Status | None = None, direction: Direction = ""
) -> str:
    """The percentiles of this status and direction, those of at most three rows; empty for none."""
    named = []
    for row in rows:
        limits = [
            limit
            for limit in row.limits
            if status in (None, limit.status) and direction in ("", limit.direction)
        ]
        if limits:
            named.append(_said(row, limits))
    more = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    return "; ".join([*named[:_MOST_NAMED], *more])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
