from __future__ import annotations

import re
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import Run
from loadtests.report.charts.axes import time_step
from loadtests.report.charts.bars import Bar, BarGroup, bars_chart
from loadtests.report.charts.chart import Chart, Panel, nice_limit
from loadtests.report.charts.drawing import Drawing, draw
from loadtests.report.charts.forest import forest_chart
from loadtests.report.charts.spectrum import curve, spectrum_chart
from loadtests.report.charts.svg import for_page
from loadtests.report.charts.timeline import throughput_chart, timeline_chart
from loadtests.report.figures.ratios import ForestRow, RatioGroup
from loadtests.report.figures.rounding import Number, milliseconds
from loadtests.report.figures.series import ReportSubject, read_series
from tests.known import known

DYNAMODB = ReportSubject("dynamodb", "wire", "DynamoDB", "first")
POSTGRES = ReportSubject("postgres", "psycopg", "PostgreSQL", "second")


def texts(drawing: Drawing) -> list[str | None]:
    root = ElementTree.fromstring(drawing.svg())
    return [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]


def bars(p99: float = 12.5) -> BarGroup:
    return BarGroup(
        "p99",
        (
            Bar("cart.get", DYNAMODB, milliseconds(1.234), 1.1, 1.4),
            Bar("cart.get", POSTGRES, milliseconds(p99), 11.0, None),
            Bar("cart.add", DYNAMODB, Number(None, "needs 299 calls, had 7")),
        ),
        10.0,
    )


def test_bars_show_values_target_and_what_is_not_carried() -> None:
    chart = known(bars_chart([bars()], ["cart.get", "cart.add"], "response time"))
    found = texts(draw(chart))
    for text in ("1.23", "12.5", "10 ms", " needs 299 calls, had 7", "cart.get", "PostgreSQL"):
        assert text in found
    assert "The longest is cart.get on PostgreSQL at 12.5 ms; the target is 10 ms" in (
        chart.panels[0].alt
    )
    assert known(chart.table).rows[0] == ("cart.get", "p99", "1.23 ms", "12.5 ms")


def test_bars_of_nothing() -> None:
    empty = BarGroup("p99", (Bar("cart.get", DYNAMODB, Number(None, "no calls")),), None)
    assert bars_chart([empty], ["cart.get"], "response time") is None


@given(st.lists(st.integers(1_000, 10**9), min_size=2, max_size=400))
def test_the_spectrum_is_the_percentiles_as_far_as_they_are_carried(numbers: list[int]) -> None:
    histogram = Histogram()
    histogram.add(Sparse.of(np.asarray(numbers, np.int64)))
    nines, ms = curve(histogram)
    shares = [1 - 10.0**-x for x in nines]
    # the last share is the largest whose upper bound exists: all n calls below it at 5%
    assert shares[-1] ** len(numbers) == pytest.approx(0.05, rel=1e-6)
    assert ms == [histogram.quantile_ns(q) / 1e6 for q in shares]
    assert ms == sorted(ms)


def test_spectrum_and_timeline_describe_every_pattern(passed: Run) -> None:
    series = read_series(passed)
    for chart in (
        known(spectrum_chart(series, "response_time", 10.0, "response time")),
        known(timeline_chart(series, "response_time", None, "response time", 4.0)),
    ):
        assert [panel.title for panel in chart.panels] == list(
            dict.fromkeys(one.pattern for one in series)
        )
        assert all("DynamoDB" in p.alt and "PostgreSQL" in p.alt for p in chart.panels)
    assert spectrum_chart([], "response_time", 10.0, "response time") is None
    assert timeline_chart([], "response_time", 10.0, "response time", 0.0) is None


def test_throughput_is_every_call_of_the_subject(passed: Run) -> None:
    series = read_series(passed)
    axes = Figure().add_subplot()
    known(throughput_chart(series, 900.0, 4.0)).panels[0].draw(axes)
    rates = np.asarray(axes.lines[0].get_ydata())
    info = [s for s in passed.info.series if s.backend == "dynamodb"]
    # windows are of one second in so short a run, the four of the warm-up first
    assert sum(rates[4:]) == pytest.approx(sum(s.count for s in info))


def test_a_forest_says_what_an_open_interval_is() -> None:
    ratios = (
        ForestRow("cart.get", 1.42, 1.3, 1.55),
        ForestRow("cart.add", 0.9, None, 1.1, "second", 1.2),
    )
    chart = known(
        forest_chart(
            [RatioGroup("p99", ratios), RatioGroup("p50", ())],
            name="x",
            title="X",
            caption="c",
            sides=("faster", "slower"),
        )
    )
    assert len(chart.panels) == 1
    assert known(chart.table).rows == (
        ("cart.get", "p99", "1.42× (1.30–1.55)"),
        ("cart.add", "p99", "0.900× (≤ 1.10)"),
    )
    found = texts(draw(chart))
    assert "1.42×" in found
    assert "1×" in found
    empty = [RatioGroup("p50", ())]
    assert forest_chart(empty, name="x", title="X", caption="c", sides=("a", "b")) is None


def test_axis_ends_and_steps() -> None:
    assert nice_limit([8.7]) == 10
    assert nice_limit([9.2]) == 15
    assert nice_limit([], 0) == 1
    assert nice_limit([0.3]) == 0.4
    assert [time_step(s) for s in (5, 80, 600, 36_000)] == [1, 20, 120, 7200]


def mark(ax: Axes, *, text: str) -> None:
    ax.plot([0, 1], [0, 1], "o-", color="#0072b2")
    ax.text(0, 0, text)


def test_page_svgs_share_no_id_and_no_style() -> None:
    panels = tuple(Panel("same", "alt", partial(mark, text="url(#a) <b>")) for _ in range(2))
    drawing = draw(Chart("twice", "Twice", "caption", panels))
    first, second = drawing.page_svgs()
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "<style" not in first
    assert "var(--first)" in first
    assert "&lt;b&gt;" in first
    assert "font-family" not in first


def test_an_unknown_colour_stays() -> None:
    svg = '<svg width="1"><path id="a" style="fill: #123456; stroke: #0072b2"/></svg>'
    out = for_page(svg, "p")
    assert "fill: #123456" in out
    assert "stroke: var(--first)" in out
    assert 'id="p-a"' in out
