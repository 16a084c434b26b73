"""Samples by unit of time: gathering, cutting and scaling."""

from __future__ import annotations

import numpy as np

from loadtests.judge.stats.samples import Samples, samples_by_unit
from loadtests.measure.histogram import Sparse
from loadtests.measure.hlog import Interval
from tests.judge.stats.calls import samples_by_second


def interval(start_s: float, *values: int) -> Interval:
    return Interval(start_s, 1.0, Sparse.of(np.array(values, np.int64)))


def test_silent_seconds_count_as_units() -> None:
    seconds = {second: second - 3 for second in range(3, 10)}
    samples = samples_by_unit(
        [interval(3.002, 5), interval(3.998, 6), interval(9.0, 7, 8)], seconds
    )
    assert samples.units == 7
    assert samples.calls_by_unit().tolist() == [1, 1, 0, 0, 0, 0, 2]


def test_blocks_gather_seconds_and_leave_the_others_out() -> None:
    samples = samples_by_unit([interval(0, 5), interval(1, 6), interval(2, 7)], {0: 0, 2: 1})
    assert samples.calls_by_unit().tolist() == [1, 1]
    assert samples.calls_above(5).tolist() == [0, 1]


def test_gathering_by_second_equals_gathering_call_by_call() -> None:
    rng = np.random.default_rng(1)
    values = [rng.integers(1, 10**7, rng.integers(0, 20)) for _ in range(15)]
    expected = Samples.of(((n, Sparse.of(times)) for n, times in enumerate(values)), 15)
    actual = samples_by_second(values)
    assert actual.calls == expected.calls == sum(map(len, values))
    for bucket in (0, 5_000, int(expected.index[40]), int(expected.index[-1])):
        assert actual.calls_above(bucket).tolist() == expected.calls_above(bucket).tolist()
    for nth in range(1, expected.calls + 1):
        assert actual.bucket_at_rank(nth) == expected.bucket_at_rank(nth)


def test_scaling_moves_only_what_lies_above() -> None:
    samples = samples_by_second([[100, 200, 300]])
    assert samples.scaled(2.0).index.tolist() == [200, 400, 600]
    assert samples.scaled(2.0, above=200).index.tolist() == [100, 200, 600]
