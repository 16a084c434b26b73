"""Gives Locust its copy of the figures, a second at a time, so that its own tables stay alive."""

from __future__ import annotations

import time
from typing import Any

from locust.stats import RequestStats, StatsEntry, StatsError


def copy_to_locust(stats: RequestStats, entries: list[dict[str, Any]]) -> None:
    """Add what `measure.locust_copy.for_locust` made; the method column shows the backend."""
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


def _add(target: StatsEntry, entry: dict[str, Any], failures: int, now: float) -> None:
    count = entry["count"]
    target.num_requests += count
    target.num_failures += failures
    target.last_request_timestamp = now
    target.num_reqs_per_sec[int(now)] += count
    if failures:
        target.num_fail_per_sec[int(now)] += failures
    if not count:
        return
    target.total_response_time += entry["total_ms"]
    least = target.min_response_time
    target.min_response_time = entry["min_ms"] if least is None else min(least, entry["min_ms"])
    target.max_response_time = max(target.max_response_time, entry["max_ms"])
    for rounded_ms, times in entry["response_times"]:
        target.response_times[rounded_ms] += times
