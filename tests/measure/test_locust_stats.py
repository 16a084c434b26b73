from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.stats import bucket_response_time

from loadtests.measure.histogram import Sparse
from loadtests.measure.locust_stats import for_locust
from loadtests.measure.merger import SeriesPart
from tests.measure.latencies import equivalent_range


def part(values: list[int], **changes) -> SeriesPart:
    counts = Sparse.of(np.array(values, np.int64))
    empty = Sparse.of(np.array([], np.int64))
    held = {"response_time": counts, "service_time": empty, "wire_time": empty}
    return SeriesPart(("dynamodb", "wire", "cart.get"), False, held, **changes)


@given(st.lists(st.integers(0, 100_000_000_000), max_size=30))
def test_times_are_rounded_as_locust_rounds_them(values):
    [entry] = for_locust([part(values)])
    shown_ms = [equivalent_range(value)[1] / 1e6 for value in values]
    wanted = Counter(bucket_response_time(ms) for ms in shown_ms)
    assert dict(map(tuple, entry["response_times"])) == wanted
    assert entry["count"] == len(values)
    assert entry["total_ms"] == pytest.approx(sum(shown_ms))
    assert entry["min_ms"] == min(shown_ms, default=0.0)
    assert entry["max_ms"] == max(shown_ms, default=0.0)


def test_an_entry_names_its_series_and_errors():
    [entry] = for_locust([part([5_000_000], errors={"CallTimeout": 2})])
    assert (entry["backend"], entry["pattern"]) == ("dynamodb", "cart.get")
    assert entry["errors"] == {"CallTimeout": 2}
    assert for_locust([]) == []
