"""What is kept of a run for its validity: as much as its rows would tell, in constant memory."""

from __future__ import annotations

import gc
import io
import types
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure import run_folder as folder_module
from loadtests.measure import scribe as scribe_module
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.signals import Signal
from loadtests.measure.histogram import Sparse, bucket_index
from loadtests.measure.messages import OpenRun, unpack
from loadtests.measure.recorder import Recorder
from loadtests.measure.results import Validity
from loadtests.measure.scribe import RunScribe
from tests.measure.streams import classifier, closing, opening, row

UNKNOWN = {
    f"{kind}_{q}_ms": None
    for kind in ("dispatch_delay", "event_loop_delay")
    for q in ("p50", "p99", "max")
}
shares = st.floats(0, 1)
delays = st.lists(st.integers(0, 10**9), max_size=5)


@st.composite
def seconds(draw: st.DrawFn) -> tuple[HealthRow, list[int], list[int]]:
    """A second of one of two workers, with its samples."""
    made = row(
        draw(st.sampled_from(["worker 1", "worker 2"])),
        length_s=draw(st.floats(0.001, 30)),
        offered=draw(st.integers(0, 3)),
        queued=draw(st.integers(0, 3)),
        in_flight=draw(st.integers(0, 1)),
        behind_ms=draw(st.sampled_from([0.0, 0.0, 700.0, 5_000.0])),
        users=draw(st.integers(1, 9)),
        invalid_responses=draw(st.integers(0, 2)),
        event_loop_stall_ms=draw(st.floats(0, 100)),
        gc_pause_max_ms=draw(st.floats(0, 100)),
        process_cpu=draw(shares),
    )
    host = {name: draw(st.none() | shares) for name in ("cpu_wait", "host_steal", "pressure_cpu")}
    return HealthRow(**(made | UNKNOWN | host)), draw(delays), draw(delays)


def sparse(values: Iterable[int]) -> Sparse:
    return Sparse.of(np.array(list(values), np.int64))


def mean(rows: list[HealthRow], name: str) -> float | None:
    known = [(getattr(r, name), r.length_s) for r in rows if getattr(r, name) is not None]
    return sum(v * s for v, s in known) / sum(s for _, s in known) if known else None


@given(st.lists(seconds(), max_size=12))
def test_what_is_kept_equals_what_all_rows_tell(
    fed: list[tuple[HealthRow, list[int], list[int]]],
) -> None:
    evidence = GeneratorEvidence()
    for each, late, lag in fed:
        evidence.add(each, GeneratorDelays(sparse(late), sparse(lag)))
    assert set(evidence.workers) == {each.worker for each, _, _ in fed}
    for worker, figures in evidence.workers.items():
        ours = [each for each in fed if each[0].worker == worker]
        rows = [each for each, _, _ in ours]
        assert figures.seconds == pytest.approx(sum(r.length_s for r in rows))
        assert figures.saw_a_call == any(r.offered or r.in_flight or r.behind_ms for r in rows)
        assert figures.offered == sum(r.offered for r in rows)
        assert figures.queued == sum(r.queued for r in rows)
        assert figures.users_min == min(r.users for r in rows)
        assert figures.behind_max_ms == max(r.behind_ms for r in rows)
        assert figures.invalid_responses == sum(r.invalid_responses for r in rows)
        assert figures.event_loop_stall_ms == pytest.approx(
            sum(r.event_loop_stall_ms for r in rows)
        )
        assert figures.gc_pause_max_ms == max(r.gc_pause_max_ms for r in rows)
        for name in ("process_cpu", "cpu_wait", "host_steal", "pressure_cpu"):
            assert getattr(figures, name).value == pytest.approx(mean(rows, name))
        late = [delay_ns for _, delays_ns, _ in ours for delay_ns in delays_ns]
        lag = [delay_ns for _, _, delays_ns in ours for delay_ns in delays_ns]
        for histogram, delays in ((figures.dispatch_delay, late), (figures.event_loop_delay, lag)):
            values = np.array(delays, np.int64)
            assert histogram.sparse() == sparse(values)
            assert histogram.total == len(bucket_index(values))


# --- an hour costs no more than a minute


def reachable_bytes(root: object) -> int:
    """The memory of everything that an object leads to, code and modules aside."""
    seen: set[int] = set()
    waiting = [root]
    total = 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | types.ModuleType | types.FunctionType):
            continue
        seen.add(id(item))
        # an array's own size does not tell its buffer in every version of numpy
        total += item.nbytes if isinstance(item, np.ndarray) else item.__sizeof__()
        waiting += gc.get_referents(item)
    return total


class Fed:
    """A scribe's writer, fed second by second as by a load process."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # neither keeps anything, and an hour of them takes long: run.json anew, and the rules
        monkeypatch.setattr(folder_module, "write_info", lambda path, info: None)
        counts: tuple[list[Signal], Validity] = ([], Validity(valid=True))
        monkeypatch.setattr(scribe_module, "judge_validity", lambda *evidence_and_series: counts)
        [(frame, _)] = unpack(io.BytesIO(opening(path)))
        assert isinstance(frame, OpenRun)
        self._out = io.StringIO()
        self.writer = RunScribe(frame, self._out, classifier())
        self._rng = np.random.default_rng(1)
        self._recorder = Recorder()
        self._second = 0

    def run_to(self, second: int) -> None:
        while self._second < second:
            series = self._recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
            for took in self._rng.lognormal(14, 1, 5).astype(int).tolist():
                series.record(0, 0, took, took // 2)
            lags = self._rng.exponential(1e5, 10).astype(int).tolist()
            frames = self._recorder.drain() + closing(
                self._second, dispatch_delays_ns=lags, event_loop_delays_ns=lags
            )
            for frame, payload in unpack(io.BytesIO(frames)):
                self.writer.take(frame, payload)
            self._second += 1
            self._out.seek(0)  # what was said has gone down the pipe
            self._out.truncate()


@pytest.mark.slow
def test_an_hour_of_seconds_takes_no_more_memory_than_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = Fed(tmp_path / "run", monkeypatch)
    fed.run_to(60)
    a_minute = reachable_bytes(fed.writer)
    fed.run_to(3_600)
    an_hour = reachable_bytes(fed.writer)
    fed.writer.finish("complete")
    assert a_minute > 500_000  # it was found: histograms of a series and a worker
    assert an_hour - a_minute < 4_000
    rows = (tmp_path / "run" / "health.csv").read_text().splitlines()
    assert len(rows) == 3_601  # all of it is on the disk
