"""Copies each second's figures into Locust's statistics, so that Locust's own tables have them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from locust.stats import RequestStats, StatsEntry, StatsError

from loadtests.measure.messages import LocustEntry


def copy_to_locust(stats: RequestStats, entries: Iterable[LocustEntry]) -> None:
    """Add the entries of one second; Locust's method column shows the backend."""
    now = time.time()
    for entry in entries:
        name, method = entry["pattern"], entry["backend"]
        failures = sum(entry["errors"].values())
        for target in (stats.total, stats.entries[name, method]):
            _add(target, entry, failures, now)
        for error, occurrences in entry["errors"].items():
            key = StatsError.create_key(method, name, error)
            if key not in stats.errors:
                stats.errors[key] = StatsError(method, name, error, first_seen=now)
            stats.errors[key].occurrences += occurrences
            stats.errors[key].last_seen = now


def _add(target: StatsEntry, entry: LocustEntry, failures: int, now: float) -> None:
    count, last = entry["count"], target.last_request_timestamp
    if target.use_response_times_cache and last and int(now) > int(last):
        # as Locust's own log() does: without it, its charts of percentiles fall to 0 after 16 s
        target._cache_response_times(int(now) - 1)
    target.num_requests += count
    target.num_failures += failures
    target.last_request_timestamp = now
    target.num_reqs_per_sec[int(now)] += count
    if failures:
        target.num_fail_per_sec[int(now)] += failures
    if not count:
        return
    # Locust declares whole milliseconds and stores fractions
    target.total_response_time += entry["total_ms"]  # type: ignore[assignment]
    least, longest = target.min_response_time, target.max_response_time
    target.min_response_time = entry["min_ms"] if least is None else min(least, entry["min_ms"])  # type: ignore[assignment]
    target.max_response_time = max(longest, entry["max_ms"])  # type: ignore[assignment]
    for rounded_ms, times in entry["response_times"]:
        target.response_times[rounded_ms] += times
