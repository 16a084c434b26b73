"""The report's sections in reading order; one that has nothing to show says so or is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.measure.results import Bounds, LimitVerdict
from loadtests.report.charts.bars import Bar, BarGroup, bars_chart
from loadtests.report.charts.breakdown import breakdown_chart
from loadtests.report.charts.capacity import capacity_chart, steps_table
from loadtests.report.charts.chart import Chart, ChartTable, Entry
from loadtests.report.charts.forest import forest_chart
from loadtests.report.charts.heatmap import heat_chart
from loadtests.report.charts.history import history_chart
from loadtests.report.charts.spectrum import spectrum_chart
from loadtests.report.charts.timeline import throughput_chart, timeline_chart
from loadtests.report.figures.breakdown import parts_of
from loadtests.report.figures.capacity import answers_of, is_capacity_run, limit_of, steps_of
from loadtests.report.figures.cost import PRICES_SAID, costs_of, total_of
from loadtests.report.figures.history import read_past
from loadtests.report.figures.ratios import against_baseline
from loadtests.report.figures.rounding import MISSING, digits, milliseconds, plain
from loadtests.report.figures.stalls import stalls_sentence
from loadtests.report.figures.validity import signal_rows
from loadtests.report.figures.verdict_view import NOT_JUDGED
from loadtests.report.method import method_of
from loadtests.report.opening import added_delay, scenario_errors_of
from loadtests.report.page import Page
from loadtests.report.setting import SUBJECT_COLUMNS

_AGAINST = "Change against the baseline"


@dataclass(frozen=True, slots=True)
class TitledTable:
    """A table with its heading; `folded` ones open on demand."""

    title: str
    table: ChartTable
    folded: bool = False


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A heading and its content, in this order; `traces` open on demand."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    parts: tuple[TitledTable, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()
    traces: tuple[tuple[str, str], ...] = ()


def sections_of(page: Page) -> list[ReportSection]:
    """All sections of a single run's report."""
    if not page.series:
        return [*_scenario_errors(page), _setting(page)]
    if is_capacity_run(page.run):
        return [*_of_climb(page), *_scenario_errors(page)]
    return [
        *_verdicts(page),
        *_scenario_errors(page),
        *_times(page),
        *_money(page),
        *_history(page),
        _health(page),
        _setting(page),
        ReportSection("method", "How each number was obtained", definitions=tuple(method_of(page))),
    ]


def _scenario_errors(page: Page) -> Iterator[ReportSection]:
    errors = page.run.info.scenario_errors
    if errors:
        yield ReportSection(
            "scenario-errors",
            "Errors of the scenario's own code",
            ("The first error of each kind. They count as failed calls.",),
            traces=tuple(
                zip(scenario_errors_of(page), (error.trace for error in errors), strict=True)
            ),
        )


def _verdicts(page: Page) -> Iterator[ReportSection]:
    table = limits_table(page)
    folded = (
        (TitledTable("Every limit and the bounds it was decided on", table, True),) if table else ()
    )
    yield ReportSection(
        "verdicts", "Verdict for each access pattern", _explained(page), parts=folded
    )
    yield ReportSection("percentiles", "p50 and p99", charts=_some(_bars(page)))
    yield from _ratios(page)


def _explained(page: Page) -> tuple[str, ...]:
    sentence = f"p50 and p99 of {page.metric_words}."
    if page.judged.estimates:
        level = plain(100 * page.judged.confidence)
        sentence += (
            f" Small figures are {level}% confidence intervals; ≥ means that there "
            "are too few calls for an upper bound."
        )
    if page.judged.baseline:
        sentence += f" Change is against {page.judged.baseline}."
    return (sentence,)


def _ratios(page: Page) -> Iterator[ReportSection]:
    versus = forest_chart(
        page.versus.groups,
        name="backends",
        title="DynamoDB against PostgreSQL",
        caption="Each ratio with its 95% interval, from one run, so that what both backends felt "
        "alike cancels out. An interval that holds 1 decides nothing; an arrow leaves the chart.",
        sides=("DynamoDB faster", "DynamoDB slower"),
    )
    if versus:
        yield ReportSection("backends", "DynamoDB against PostgreSQL", charts=(versus,))
    changes = page.changes
    divided = f"{changes.subject} ÷ {changes.reference}" if changes else "this run ÷ baseline"
    groups = against_baseline(page.judged, page.subjects, divided)
    drawn = {ratio.role for group in groups for ratio in group.ratios}
    title = f"Change from {changes.reference} to {changes.subject}" if changes else _AGAINST
    growth = forest_chart(
        groups,
        name="baseline",
        title=title,
        caption="Each ratio of two percentiles, with the bounds it was decided on. The red mark is "
        "the growth allowed.",
        sides=("faster", "slower"),
        legend=(
            *(Entry(s.label, s.role) for s in page.subjects if s.role in drawn),
            Entry("allowed growth", "limit", "line"),
        ),
    )
    if growth:
        sentences = (f"{changes.sentence}.", *changes.notes) if changes else ()
        if page.judged.sentence in sentences:  # the headline already
            sentences = ()
        yield ReportSection("baseline", title, sentences, charts=(growth,))


def _times(page: Page) -> Iterator[ReportSection]:
    series, metric, limit, words = page.series, page.metric, page.line_ms, page.metric_words
    warm_up_s = page.run.info.warm_up_s
    yield ReportSection(
        "spectrum",
        "Percentile spectrum",
        charts=_some(spectrum_chart(series, metric, limit, words)),
    )
    yield ReportSection(
        "over-time",
        "Over time",
        charts=_some(
            timeline_chart(series, metric, limit, words, warm_up_s, page.stalls),
            throughput_chart(series, page.setting.offered_per_s, warm_up_s, page.stalls),
        ),
    )
    heat = heat_chart(series, metric, limit, warm_up_s)
    yield ReportSection("heatmap", "Latency heatmap", charts=_some(heat))
    parts = parts_of(series)
    notes = [f"{p.pattern} on {p.subject.label}: {p.note}." for p in parts if p.note]
    yield ReportSection(
        "breakdown",
        "Where the time goes",
        paragraphs=tuple(notes[:5]),
        charts=_some(breakdown_chart(parts)),
    )


def _money(page: Page) -> Iterator[ReportSection]:
    costs = costs_of(page.series, page.measured_s)
    if not costs:
        return
    total = total_of(costs)
    head = (
        "Access pattern",
        "Read units a call",
        "Write units a call",
        "A million calls",
        "Rate in this run",
        "A month at that rate",
    )
    rows = tuple(
        (
            c.pattern,
            c.read_units.text,
            c.write_units.text,
            c.per_million.text,
            c.rate.text,
            c.per_month.text,
        )
        for c in (*costs, *((total,) if total else ()))
    )
    measured = (
        "Capacity units as the emulator reported them during the warm-up; AWS rounds the same way, "
        "but only its bill is the truth."
        if any(target.emulator for target in page.setting.targets)
        else "Capacity units as DynamoDB reported them during the warm-up."
    )
    yield ReportSection(
        "cost",
        "Capacity and cost",
        paragraphs=(measured, f"{PRICES_SAID} A month is 730 hours at the rate of this run."),
        parts=(TitledTable("", ChartTable(head, rows, figures_from=1)),),
    )


def _of_climb(page: Page) -> list[ReportSection]:
    """A capacity run's: figures over the whole would mix its rates, so its steps stand alone."""
    over_time = ("over-time", "heatmap")
    return [
        *_capacity_run(page),
        *(section for section in _times(page) if section.anchor in over_time),
        _health(page),
        _setting(page),
        ReportSection("method", "How each number was obtained", definitions=tuple(method_of(page))),
    ]


def _capacity_run(page: Page) -> Iterator[ReportSection]:
    steps, answers = steps_of(page.run), answers_of(page.run)
    elsewhere = sorted({(s.backend, s.run) for s in steps if s.run})
    sentences = [answer.sentence for answer in answers if answer.sentence]
    sentences += [
        f"The steps of {backend} were measured in run {run}." for backend, run in elsewhere
    ]
    if not steps:
        judged = page.judged.status != NOT_JUDGED
        sentences = ["No step came to its end." if judged else "Its steps have not been judged."]
    chart = capacity_chart(steps, limit_of(steps, page.line_ms), answers)
    parts = () if chart or not steps else (TitledTable("", steps_table(steps)),)
    yield ReportSection("capacity", "Throughput against p99", tuple(sentences), _some(chart), parts)


def _history(page: Page) -> Iterator[ReportSection]:
    past = read_past(page.run, page.metric)
    if past is None:
        yield ReportSection("history", "History", ("No earlier run under the same conditions.",))
        return
    chart = history_chart(past, page.series, page.metric, page.line_ms)
    yield ReportSection("history", "History", charts=_some(chart))


def _health(page: Page) -> ReportSection:
    validity, signals = page.run.info.validity, signal_rows(page.run)
    if validity is None:
        sentence = "This run's health was not judged."
    elif validity.valid and is_capacity_run(page.run):
        sentence = (
            "Each step was judged by itself; these signals are of the highest step at which none "
            "was beyond its limit."
        )
    elif added_delay(validity) and page.judged.status != "INVALID":
        sentence = (
            "The generator or its machine added delay. That can only make response times longer: a "
            "limit that is met in spite of it is met, but nothing can be found broken because of "
            "it."
        )
    elif validity.valid:
        sentence = "No signal was beyond its limit: the generator did not distort the figures."
    else:
        sentence = "The generator distorted this run: its figures say nothing of the databases."
    rows = tuple((s.name, s.state, s.value, s.limit or "–", s.text) for s in signals)
    table = TitledTable("", ChartTable(("Signal", "State", "Found", "Limit", "In words"), rows))
    return ReportSection(
        "validity",
        "Can the generator be trusted?",
        paragraphs=(
            sentence,
            *(() if signals else ("run.json holds no health signal.",)),
            *((stalls_sentence(page.run.info.stalls),) if page.run.info.stalls else ()),
        ),
        parts=(table,) if signals else (),
    )


def _setting(page: Page) -> ReportSection:
    tables = (
        TitledTable("Subjects", ChartTable(SUBJECT_COLUMNS, page.setting.subjects)),
        TitledTable("Configuration", ChartTable(("Setting", "Value"), page.setting.configuration)),
        TitledTable("Environment", ChartTable(("What", "Found"), page.setting.environment)),
    )
    return ReportSection(
        "setting",
        "Configuration and environment",
        parts=tuple(part for part in tables if part.table.rows),
    )


def _some(*charts: Chart | None) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _bars(page: Page) -> Chart | None:
    groups = []
    for name in ("p50", "p99"):
        cells = [(r, r.p50 if name == "p50" else r.p99) for r in page.rows]
        bars = tuple(Bar(r.pattern, r.subject, c.value, c.low_ms, c.high_ms) for r, c in cells)
        groups.append(BarGroup(name, bars, page.target_ms(name) or page.line_ms))
    return bars_chart(groups, page.patterns, page.metric_words)


def limits_table(page: Page) -> ChartTable | None:
    """Every limit with the bounds it was decided on; None when nothing was judged."""
    if not page.judged.limits:
        return None
    labels = {(s.backend, s.driver): s.label for s in page.subjects}
    disturbed = page.left_out is not None
    rows = tuple(
        (
            x.pattern,
            labels.get((x.backend, x.driver), x.backend),
            statistic_words(x),
            in_unit(x, x.limit, exact=True),
            in_unit(x, x.estimate),
            f"{in_unit(x, x.low)} to {in_unit(x, x.high)}",
            *(
                (_estimate(x, x.all_calls), _estimate(x, x.undisturbed), x.basis)
                if disturbed
                else ()
            ),
            x.status,
        )
        for x in page.judged.limits
    )
    head = (
        *("Access pattern", "Backend", "What", "Limit", "Found", "Bounds"),
        *(("All calls", "Undisturbed", "Decided on") if disturbed else ()),
        "Verdict",
    )
    return ChartTable(head, rows)


def _estimate(limit: LimitVerdict, bounds: Bounds | None) -> str:
    return in_unit(limit, bounds.estimate) if bounds else MISSING


def both_sets(limit: LimitVerdict) -> str:
    """The estimate over all calls and over the undisturbed ones; empty where they are not known."""
    if limit.all_calls is None or limit.undisturbed is None:
        return ""
    return (
        f"All {limit.all_calls.calls:,} calls: {_estimate(limit, limit.all_calls)}; "
        f"{limit.undisturbed.calls:,} undisturbed: {_estimate(limit, limit.undisturbed)}; "
        f"decided on {limit.basis} calls."
    )


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
        return f"{plain(value)} ms" if exact else milliseconds(value).text
    return f"{shown(100 * value)}%" if limit.unit == "share" else f"{shown(value)}×"
