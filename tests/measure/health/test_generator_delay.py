"""The samples' way from a load process, directly or by a cluster's master, into the run folder."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.health.generator_delay import bucket_delays, delay_figures
from loadtests.measure.histogram import Sparse
from loadtests.measure.results import read_info
from tests.known import known
from tests.measure.streams import closing, end, opening, relay, scribe

MS = 1_000_000
LATE = [MS] * 60
LAG = [2 * MS] * 90 + [8 * MS] * 10


def folder(path: Path, worker: str = "generator", *, relayed: bool = False) -> Path:
    seconds = [
        closing(
            0, worker, dispatch_delays_ns=[900 * MS], event_loop_delays_ns=[900 * MS], warm_up=True
        ),
        closing(1, worker, dispatch_delays_ns=LATE, event_loop_delays_ns=LAG, cpu_wait=0.04),
        closing(2, worker, dispatch_delays_ns=LATE, event_loop_delays_ns=LAG, cpu_wait=0.02),
    ]
    stream = b"".join(seconds)
    if relayed:
        stream = b"".join(relay(stream, worker))
    scribe(opening(path, [worker]) + stream + end())
    return path


@pytest.mark.parametrize("relayed", [False, True])
def test_both_kinds_of_samples_arrive_apart(tmp_path: Path, relayed: bool) -> None:
    path = folder(tmp_path / "run", relayed=relayed)
    with (path / "health.csv").open(newline="") as file:
        warm_up, one, two = csv.DictReader(file)
    assert float(warm_up["event_loop_delay_max_ms"]) == pytest.approx(900, rel=0.001)
    for row in (one, two):
        assert float(row["dispatch_delay_max_ms"]) == pytest.approx(1, rel=0.001)
        assert float(row["event_loop_delay_p50_ms"]) == pytest.approx(2, rel=0.001)
        assert float(row["event_loop_delay_p99_ms"]) == pytest.approx(8, rel=0.001)
    signals = {s.name: s for s in read_info(path).health.signals}
    # 200 arrivals, 120 of them late by 1 ms; a tenth of the moments 8 ms; the warm-up in neither
    assert signals["generator delay p50"].value == pytest.approx(3, abs=0.051)
    assert signals["generator delay p99"].value == pytest.approx(9, abs=0.051)
    assert signals["event-loop stalls"].value == pytest.approx(10)
    assert signals["late dispatches"].value == 0
    assert signals["dispatch delay p99"].value == pytest.approx(1, rel=0.001)
    assert signals["dispatch delay p99"].limit is None
    assert signals["wait for a CPU"].value == pytest.approx(3)
    reasons = {r.rule for r in known(read_info(path).validity).reasons}
    assert reasons == {
        "generator delay p50",
        "generator delay p90",
        "generator delay p99",
        "event-loop stalls",
    }


some = st.lists(st.integers(0, 10**10), max_size=20)


@given(some, some)
def test_the_columns_are_told_apart_by_their_sizes(late: list[int], lag: list[int]) -> None:
    columns = [*range(len(late)), *late, *range(len(lag)), *lag]
    delays = bucket_delays(len(late), np.array(columns, np.int64).tobytes())
    assert delays.dispatch == Sparse.of(np.array(late, np.int64))
    assert delays.event_loop == Sparse.of(np.array(lag, np.int64))
    figures = asdict(delay_figures(delays))
    assert {name for name, value in figures.items() if value is None} == {
        name for name in figures if not (late if name.startswith("dispatch") else lag)
    }
