"""The report's sections in reading order; one that has nothing to show says so or is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.report.breakdown import parts_of
from loadtests.report.capacity import answers_of, climb_table, is_climb, limit_of, steps_of
from loadtests.report.charts.bars import Bar, BarGroup, bars_chart
from loadtests.report.charts.breakdown import breakdown_chart
from loadtests.report.charts.capacity import capacity_chart
from loadtests.report.charts.chart import Chart, Entry, Table
from loadtests.report.charts.forest import forest_chart
from loadtests.report.charts.heatmap import heat_chart
from loadtests.report.charts.history import history_chart
from loadtests.report.charts.past import read_past
from loadtests.report.charts.spectrum import spectrum_chart
from loadtests.report.charts.timeline import throughput_chart, timeline_chart
from loadtests.report.cost import PRICES_SAID, costs_of, total_of
from loadtests.report.method import method_of
from loadtests.report.page import Page
from loadtests.report.ratios import against_baseline
from loadtests.report.rounding import plain
from loadtests.report.tables import limits_table
from loadtests.report.validity import signal_rows
from loadtests.report.verdict_view import NOT_JUDGED


@dataclass(frozen=True, slots=True)
class Part:
    """A table with its heading; `folded` ones open on demand."""

    title: str
    table: Table
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it, in this order."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    parts: tuple[Part, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()


def sections_of(page: Page) -> list[Section]:
    """All sections of a single run's report."""
    if not page.series:
        return [_setting(page)]
    if is_climb(page.run):
        return _of_climb(page)
    return [
        *_verdicts(page),
        *_times(page),
        *_money(page),
        *_history(page),
        _health(page),
        _setting(page),
        Section("method", "How each number was obtained", definitions=tuple(method_of(page))),
    ]


def _verdicts(page: Page) -> Iterator[Section]:
    table = limits_table(page)
    folded = (Part("Every limit and the bounds it was decided on", table, True),) if table else ()
    yield Section("verdicts", "Verdict for each access pattern", _explained(page), parts=folded)
    yield Section("percentiles", "p50 and p99", charts=_some(_bars(page)))
    yield from _ratios(page)


def _explained(page: Page) -> tuple[str, ...]:
    said = f"p50 and p99 of {page.metric_words}."
    if page.judged.estimates:
        level = plain(100 * page.judged.confidence)
        said += (
            f" Small figures are {level}% confidence intervals; ≥ means that this many calls "
            "carry no upper bound."
        )
    if page.judged.baseline:
        said += f" Change is against {page.judged.baseline}."
    return (said,)


def _ratios(page: Page) -> Iterator[Section]:
    versus = forest_chart(
        page.versus.groups,
        name="backends",
        title="DynamoDB against PostgreSQL",
        caption="Each ratio with its 95% interval, from one run, so that what both backends felt "
        "alike cancels out. An interval that holds 1 decides nothing; an arrow leaves the chart.",
        sides=("DynamoDB faster", "DynamoDB slower"),
    )
    if versus:
        yield Section("backends", "DynamoDB against PostgreSQL", charts=(versus,))
    growth = forest_chart(
        against_baseline(page.judged, page.subjects),
        name="baseline",
        title="Change against the baseline",
        caption="Each percentile over the baseline's, with the bounds it was decided on. The red "
        "mark is the growth allowed.",
        sides=("faster", "slower"),
        legend=(
            *(Entry(s.label, s.role) for s in page.subjects),
            Entry("allowed growth", "limit", "line"),
        ),
    )
    if growth:
        yield Section("baseline", "Against the baseline", charts=(growth,))


def _times(page: Page) -> Iterator[Section]:
    series, metric, limit, words = page.series, page.metric, page.line_ms, page.metric_words
    warm_up_s = page.run.info.warm_up_s
    yield Section(
        "spectrum",
        "Percentile spectrum",
        charts=_some(spectrum_chart(series, metric, limit, words)),
    )
    yield Section(
        "over-time",
        "Over time",
        charts=_some(
            timeline_chart(series, metric, limit, words, warm_up_s),
            throughput_chart(series, page.setting.offered_per_s, warm_up_s),
        ),
    )
    heat = heat_chart(series, metric, limit, warm_up_s)
    yield Section("heatmap", "Latency heatmap", charts=_some(heat))
    parts = parts_of(series)
    notes = [f"{p.pattern} on {p.subject.label}: {p.note}." for p in parts if p.note]
    yield Section(
        "breakdown",
        "Where the time goes",
        paragraphs=tuple(notes[:5]),
        charts=_some(breakdown_chart(parts)),
    )


def _money(page: Page) -> Iterator[Section]:
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
    yield Section(
        "cost",
        "Capacity and cost",
        paragraphs=(measured, f"{PRICES_SAID} A month is 730 hours at the rate of this run."),
        parts=(Part("", Table(head, rows, figures_from=1)),),
    )


def _of_climb(page: Page) -> list[Section]:
    """A capacity run's: figures over the whole would mix its rates, so its steps stand alone."""
    over_time = ("over-time", "heatmap")
    return [
        *_capacity_run(page),
        *(section for section in _times(page) if section.anchor in over_time),
        _health(page),
        _setting(page),
        Section("method", "How each number was obtained", definitions=tuple(method_of(page))),
    ]


def _capacity_run(page: Page) -> Iterator[Section]:
    steps, answers = steps_of(page.run), answers_of(page.run)
    elsewhere = sorted({(s.backend, s.run) for s in steps if s.run})
    said = [answer.sentence for answer in answers if answer.sentence]
    said += [f"The steps of {backend} were measured in run {run}." for backend, run in elsewhere]
    if not steps:
        judged = page.judged.status != NOT_JUDGED
        said = ["No step came to its end." if judged else "Its steps have not been judged."]
    chart = capacity_chart(steps, limit_of(steps, page.line_ms), answers)
    parts = () if chart or not steps else (Part("", climb_table(steps)),)
    yield Section("capacity", "Throughput against p99", tuple(said), _some(chart), parts)


def _history(page: Page) -> Iterator[Section]:
    past = read_past(page.run, page.metric)
    if past is None:
        yield Section("history", "History", ("No earlier run under the same conditions.",))
        return
    chart = history_chart(past, page.series, page.metric, page.line_ms)
    yield Section("history", "History", charts=_some(chart))


def _health(page: Page) -> Section:
    validity, signals = page.run.info.validity, signal_rows(page.run)
    if validity is None:
        said = "This run's health was not judged."
    elif validity.valid and is_climb(page.run):
        said = (
            "Each step was judged by itself; these signals are of the highest step at which none "
            "was beyond its limit."
        )
    elif validity.valid:
        said = "No signal was beyond its limit: the generator did not distort the figures."
    else:
        said = "The generator distorted this run: its figures say nothing of the databases."
    rows = tuple((s.name, s.state, s.value, s.limit or "–", s.text) for s in signals)
    table = Part("", Table(("Signal", "State", "Found", "Limit", "In words"), rows))
    return Section(
        "validity",
        "Can the generator be trusted?",
        paragraphs=(said,) if signals else (said, "run.json holds no health signal."),
        parts=(table,) if signals else (),
    )


def _setting(page: Page) -> Section:
    both = (
        Part("Configuration", Table(("Setting", "Value"), page.setting.configuration)),
        Part("Environment", Table(("What", "Found"), page.setting.environment)),
    )
    return Section(
        "setting",
        "Configuration and environment",
        parts=tuple(part for part in both if part.table.rows),
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
