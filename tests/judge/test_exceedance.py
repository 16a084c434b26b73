from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.exceedance import shown_within
from loadtests.judge.samples import Samples
from loadtests.measure.histogram import Sparse

MS = 1_000_000


def samples(times_ms_by_second: list[list[float]]) -> Samples:
    parts = [
        (second, Sparse.of(np.array([int(t * MS) for t in times], np.int64)))
        for second, times in enumerate(times_ms_by_second)
    ]
    return Samples.of(parts, len(parts))


def even(seconds: int, a_second: int, slow_every: int, slow_ms: float) -> list[list[float]]:
    times = [
        slow_ms if i % slow_every == slow_every - 1 else 1.0 for i in range(seconds * a_second)
    ]
    return [times[i * a_second : (i + 1) * a_second] for i in range(seconds)]


def chance_of_as_few(n: int, above: int, share: float) -> float:
    """Slow and obvious: the binomial distribution, term by term."""
    chance, term = 0.0, (1 - share) ** n
    for k in range(above + 1):
        chance += term
        term *= (n - k) / (k + 1) * share / (1 - share)
    return chance


def test_299_calls_below_the_limit_show_a_p99_and_298_do_not():
    for calls, shown in ((299, True), (298, False)):
        # one second more or less does not matter; no call is slow, so none is alike
        by_second = np.array_split(np.ones(calls), 23)
        assert shown_within(samples([s.tolist() for s in by_second]), 0.99, 10, 0.05) is shown


@pytest.mark.parametrize("above", [0, 1, 3, 6])
@pytest.mark.parametrize("calls", [400, 1000, 2000])
def test_independent_calls_agree_with_the_binomial_distribution(calls, above):
    rng = np.random.default_rng(7)
    times = np.ones(calls)
    times[rng.choice(calls, above, replace=False)] = 20.0
    found = samples([s.tolist() for s in np.array_split(times, 40)])
    wanted = chance_of_as_few(calls, above, 0.01) <= 0.05
    shown = shown_within(found, 0.99, 10, 0.05)
    assert shown is wanted or (wanted and not shown and above > 1)  # likeness may only cost power


def test_slow_calls_that_come_together_count_for_less():
    apart = even(60, 50, 300, 20.0)
    together = [[1.0] * 50 for _ in range(60)]
    together[30] = [20.0] * 10 + [1.0] * 40
    assert shown_within(samples(apart), 0.99, 10, 0.05)
    assert not shown_within(samples(together), 0.99, 10, 0.05)


def test_what_drifts_below_the_limit_does_not_matter():
    drifting = [[1.0] * 45 + [4.0 if second < 30 else 1.0] * 5 for second in range(60)]
    assert shown_within(samples(drifting), 0.99, 10, 0.05)


@given(
    st.lists(st.lists(st.floats(0.1, 30), min_size=5, max_size=40), min_size=12, max_size=40),
    st.floats(1, 20),
)
def test_never_shown_when_more_calls_than_allowed_are_above(times, limit_ms):
    found = samples(times)
    # a bucket is 0.1% wide: only what is clearly above counts here
    above = sum(t > limit_ms * 1.001 for second in times for t in second)
    if above > 0.01 * found.calls:
        assert not shown_within(found, 0.99, limit_ms, 0.05)


def test_nothing_is_shown_by_no_calls_or_too_few_seconds():
    assert not shown_within(samples([]), 0.99, 10, 0.05)
    assert not shown_within(samples([[1.0] * 5000]), 0.99, 10, 0.05)
