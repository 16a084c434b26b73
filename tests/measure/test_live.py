"""The entries that a scribe makes for Locust's own tables."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.stats import bucket_response_time

from loadtests.measure.histogram import Sparse
from loadtests.measure.live import locust_entries
from loadtests.measure.series import SeriesName, SeriesPart
from tests.measure.latencies import equivalent_range


def part(values: list[int], errors: dict[str, int] | None = None) -> SeriesPart:
    counts = Sparse.of(np.array(values, np.int64))
    empty = Sparse.of(np.array([], np.int64))
    by_metric = {"response_time": counts, "service_time": empty, "wire_time": empty}
    return SeriesPart(SeriesName("dynamodb", "wire", "cart.get"), False, by_metric, errors or {})


@given(st.lists(st.integers(0, 100_000_000_000), max_size=30))
def test_times_are_rounded_as_locust_rounds_them(values: list[int]) -> None:
    [entry] = locust_entries([part(values)])
    shown_ms = [equivalent_range(value)[1] / 1e6 for value in values]
    wanted = Counter(bucket_response_time(ms) for ms in shown_ms)
    response_times = entry["response_times"]
    assert {pair[0]: pair[1] for pair in response_times} == wanted
    assert entry["count"] == len(values)
    assert entry["total_ms"] == pytest.approx(sum(shown_ms))
    assert entry["min_ms"] == min(shown_ms, default=0.0)
    assert entry["max_ms"] == max(shown_ms, default=0.0)


def test_an_entry_names_its_series_and_errors() -> None:
    [entry] = locust_entries([part([5_000_000], errors={"CallTimeout": 2})])
    assert (entry["backend"], entry["pattern"]) == ("dynamodb", "cart.get")
    assert entry["errors"] == {"CallTimeout": 2}
    assert locust_entries([]) == []
