"""The harness itself: what it costs to draw, record, sign, bucket and write.

No database takes part, so pytest-benchmark runs these with its own calibration. Two have a limit,
because they run within the load process's event loop, where they would appear as latency: recording
a call, and flushing a second of 10,000 calls.
"""

import contextlib
import fcntl
import os
from collections.abc import Sequence

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from loadtests.load.schedule.arrivals import arrivals, constant_rate
from loadtests.load.workload import Zipf
from loadtests.measure import hlog
from loadtests.measure.histogram import Counts, Histogram, Sparse
from loadtests.measure.merger import Merged, Merger
from loadtests.measure.recorder import Recorder
from loadtests.measure.series import SeriesName, SeriesPart
from loadtests.microbench.timing.clocks import open_clocks
from loadtests.patterns import CLOUDSHELF_PATTERNS, METRICS
from loadtests.stores.http.sigv4 import Signer
from loadtests.targets.endpoints import AwsKeys

pytestmark = pytest.mark.benchmark(group="harness", max_time=0.25)
BODY = b'{"TableName":"cloudshelf-carts","Key":{"user_id":{"S":"u"},"book_id":{"S":"b"}}}'


def _times(count: int) -> Counts:
    return np.random.default_rng(1).lognormal(13.8, 0.5, count).astype(np.int64)


@pytest.mark.benchmark(group="harness", max_time=0.25, warmup=True)
def test_record_a_call(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["limit_ms"] = 0.001
    series = Recorder().series("dynamodb", "wire", "cart.get", warm_up=False)
    benchmark(series.record, 1_000_000, 1_000_500, 3_000_000, 1_900_000)


def test_draw_512_arrivals(benchmark: BenchmarkFixture) -> None:
    drawn = arrivals(constant_rate(1_000.0), "poisson", 1)
    benchmark(next, drawn)


def test_draw_a_key(benchmark: BenchmarkFixture) -> None:
    benchmark(Zipf(2_000, (1, 2)).draw)


def test_sign_a_request(benchmark: BenchmarkFixture) -> None:
    keys = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    signer = Signer(lambda: keys, region="us-east-1", host="127.0.0.1", version="DynamoDB_20120810")
    benchmark(signer.request, "GetItem", BODY)


def test_flush_a_second_of_10000_calls(benchmark: BenchmarkFixture) -> None:
    """All that blocks the loop in one second: ten drains of 1,000 calls, into the pipe."""
    benchmark.extra_info["limit_ms"] = 0.2
    benchmark.pedantic(
        _flush, setup=_FilledRecorders(calls=10_000, drains=10), rounds=500, warmup_rounds=50
    )


def test_flush_a_tenth_of_it(benchmark: BenchmarkFixture) -> None:
    """The longest single block of the loop."""
    benchmark.pedantic(
        _flush, setup=_FilledRecorders(calls=1_000, drains=1), rounds=2_000, warmup_rounds=200
    )


class _FilledRecorders:
    """Recorders filled as between two drains, and a pipe with room for all of it."""

    def __init__(self, *, calls: int, drains: int) -> None:
        self._reading, self._writing = os.pipe()
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(self._reading, False)
        self._recorders = [Recorder() for _ in range(drains)]
        self._backends = [
            [
                recorder.series(backend, driver, pattern, warm_up=False)
                for pattern in CLOUDSHELF_PATTERNS
            ]
            for recorder in self._recorders
            for backend, driver in (("dynamodb", "wire"), ("postgres", "psycopg"))
        ]
        self._calls_each = calls // len(self._backends)

    def __call__(self) -> tuple[tuple[list[Recorder], int], dict[str, object]]:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 1 << 20):
                pass
        for patterns in self._backends:
            for number in range(self._calls_each):
                patterns[number % len(patterns)].record(0, 1_000, 2_000_000 + number, 1_500_000)
        return (self._recorders, self._writing), {}


def _flush(recorders: Sequence[Recorder], writing: int) -> None:
    for recorder in recorders:
        os.write(writing, recorder.drain())


def test_bucket_1000_times(benchmark: BenchmarkFixture) -> None:
    benchmark(Sparse.of, _times(1_000))


def test_encode_a_second_of_1000_times(benchmark: BenchmarkFixture) -> None:
    benchmark(hlog.encode, Sparse.of(_times(1_000)))


def test_merge_a_second_of_9_series(benchmark: BenchmarkFixture) -> None:
    counts = Sparse.of(_times(100))

    def merge() -> list[Merged]:
        merger = Merger(["one"])
        for pattern in CLOUDSHELF_PATTERNS:
            name = SeriesName("dynamodb", "wire", pattern)
            merger.add(0, SeriesPart(name, False, dict.fromkeys(METRICS, counts)))
        return list(merger.close(0, "one", 0.0, 1.0))

    benchmark(merge)


def test_quantiles_of_a_run(benchmark: BenchmarkFixture) -> None:
    histogram = Histogram()
    histogram.add(Sparse.of(_times(100_000)))
    benchmark(histogram.quantiles_ns, [0.5, 0.9, 0.99, 0.999, 1.0])


def test_read_the_clocks_of_a_round(benchmark: BenchmarkFixture) -> None:
    clocks = open_clocks()

    def read() -> None:
        clocks.cpu_wait()
        clocks.cpu()
        clocks.now()

    benchmark(read)
