from __future__ import annotations

import numpy as np
import pytest
from locust.stats import RequestStats

from loadtests.load.locust.locust_stats import copy_to_locust
from loadtests.measure.histogram import Sparse
from loadtests.measure.live import locust_entries
from loadtests.measure.series import SeriesName, SeriesPart

MS = 1_000_000


def part(backend: str, pattern: str, times_ms: list[float], **errors: int) -> SeriesPart:
    values = np.array([int(t * MS) for t in times_ms], np.int64)
    counts = dict.fromkeys(("response_time", "service_time", "wire_time"), Sparse.of(values))
    return SeriesPart(SeriesName(backend, "wire", pattern), False, counts, errors)


@pytest.fixture
def stats() -> RequestStats:
    return RequestStats()


def test_locusts_tables_show_what_was_recorded(stats: RequestStats) -> None:
    copy_to_locust(
        stats,
        locust_entries([
            part("dynamodb", "cart.get", [1.2, 2.4, 250], CallTimeout=1),
            part("postgres", "cart.get", [3.4]),
        ]),
    )  # fmt: skip
    copy_to_locust(stats, locust_entries([part("dynamodb", "cart.get", [0.9])]))
    entry = stats.get("cart.get", "dynamodb")
    assert (entry.num_requests, entry.num_failures) == (4, 1)
    assert dict(entry.response_times) == {1: 2, 2: 1, 250: 1}
    assert entry.avg_response_time == pytest.approx((1.2 + 2.4 + 250 + 0.9) / 4, rel=1e-3)
    assert entry.min_response_time == pytest.approx(0.9, rel=1e-3)
    assert entry.max_response_time == pytest.approx(250, rel=1e-3)
    assert stats.get("cart.get", "postgres").num_requests == 1
    assert (stats.total.num_requests, stats.total.num_failures) == (5, 1)
    assert dict(stats.total.response_times) == {1: 2, 2: 1, 3: 1, 250: 1}
    assert sum(stats.total.num_reqs_per_sec.values()) == 5
    assert sum(stats.total.num_fail_per_sec.values()) == 1
    assert entry.get_response_time_percentile(1.0) == 250


def test_errors_are_listed_by_their_name(stats: RequestStats) -> None:
    for _ in range(2):
        copy_to_locust(
            stats,
            locust_entries([part("dynamodb", "cart.add", [5], CallTimeout=2, LineNotFound=1)]),
        )
    occurrences = {error.error: error.occurrences for error in stats.errors.values()}
    assert occurrences == {"CallTimeout": 4, "LineNotFound": 2}
    assert {(error.method, error.name) for error in stats.errors.values()} == {
        ("dynamodb", "cart.add")
    }


def test_a_second_without_calls_changes_nothing(stats: RequestStats) -> None:
    copy_to_locust(stats, [])
    copy_to_locust(stats, locust_entries([part("dynamodb", "cart.get", [])]))
    assert stats.total.num_requests == 0
    assert stats.get("cart.get", "dynamodb").min_response_time is None
