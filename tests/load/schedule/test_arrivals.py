from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice, pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.errors import UsageError
from loadtests.load.schedule.arrivals import (
    Segment,
    WorkerShare,
    arrivals,
    constant_rate,
    pause,
    ramp,
    scaled,
    steps,
)

KINDS = ("poisson", "constant")
S = 1_000_000_000

rates = st.floats(0.5, 400)
seconds = st.floats(0.05, 4)
segments = st.one_of(
    st.builds(lambda s, r: Segment(s, r, r), seconds, rates),
    st.builds(Segment, seconds, rates, rates),
    st.builds(lambda s, r: Segment(s, 0.0, r), seconds, rates),
    st.builds(lambda s, r: Segment(s, r, 0.0), seconds, rates),
)
profiles = st.lists(segments, min_size=1, max_size=4).map(tuple)
kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 1 << 40)


ArrivalKind = Literal["poisson", "constant"]


def all_of(
    profile: tuple[Segment, ...], kind: ArrivalKind, seed: int, share: WorkerShare | None = None
) -> np.ndarray:
    """Every arrival of a profile that ends; far more than expected means that it does not."""
    most = 10_000 + 10 * sum(segment.arrivals for segment in profile)
    chunks, count = [np.zeros(0, np.int64)], 0
    for chunk in arrivals(profile, kind, seed, share or WorkerShare()):
        chunks.append(chunk)
        count += len(chunk)
        assert count < most, "a finite profile goes on and on"
    return np.concatenate(chunks)


def first(count: int, profile: tuple[Segment, ...], kind: ArrivalKind, seed: int) -> np.ndarray:
    chunks: list[np.ndarray] = []
    drawn = 0
    for chunk in arrivals(profile, kind, seed):
        chunks.append(chunk)
        drawn += len(chunk)
        if drawn >= count:
            break
    return np.concatenate(chunks)[:count]


def rate_at(profile: tuple[Segment, ...], at_s: float) -> float:
    """The profile as it reads."""
    for segment in profile:
        if at_s < segment.seconds:
            share = at_s / segment.seconds
            return segment.start + share * (segment.end - segment.start)
        at_s -= segment.seconds
    return 0.0


def integral(
    profile: tuple[Segment, ...], from_s: float, to_s: float, pieces: int = 4_000
) -> float:
    """The slow, obvious oracle: add up the rate over many small steps."""
    step = (to_s - from_s) / pieces
    return step * sum(rate_at(profile, from_s + (i + 0.5) * step) for i in range(pieces))


def length_s(profile: tuple[Segment, ...]) -> float:
    return sum(segment.seconds for segment in profile)


# --- shape


@given(profiles, kinds, seeds)
def test_intended_starts_ascend_within_the_profile(
    profile: tuple[Segment, ...], kind: ArrivalKind, seed: int
) -> None:
    starts = all_of(profile, kind, seed)
    assert starts.dtype == np.int64
    assert (np.diff(starts) >= 0).all()
    if starts.size:
        assert starts[0] >= 0
        assert starts[-1] <= length_s(profile) * S + 1


@given(profiles, kinds, seeds, st.integers(1, 9))
def test_the_workers_shares_together_are_the_single_process_to_the_nanosecond(
    profile: tuple[Segment, ...], kind: ArrivalKind, seed: int, count: int
) -> None:
    whole = all_of(profile, kind, seed)
    shares = [all_of(profile, kind, seed, WorkerShare(i, count)) for i in range(count)]
    assert np.sort(np.concatenate(shares)).tolist() == whole.tolist()
    for share in shares:
        assert (np.diff(share) >= 0).all()


@given(profiles, kinds, seeds)
def test_the_seed_decides(profile: tuple[Segment, ...], kind: ArrivalKind, seed: int) -> None:
    assert np.array_equal(all_of(profile, kind, seed), all_of(profile, kind, seed))


def test_another_seed_is_another_poisson_process() -> None:
    first_starts, second_starts = (
        first(100, constant_rate(100), "poisson", seed) for seed in (1, 2)
    )
    assert not np.isin(first_starts, second_starts).any()


def test_workers_shares_are_fair() -> None:
    spreads: dict[ArrivalKind, float] = {"constant": 1.0, "poisson": 5 * math.sqrt(10_000)}
    for kind, spread in spreads.items():
        sizes = [
            len(all_of(constant_rate(4_000, 10), kind, 3, WorkerShare(i, 4))) for i in range(4)
        ]
        assert all(abs(size - 10_000) <= spread for size in sizes)


# --- rate


def windows(profile: tuple[Segment, ...], edges: int = 9) -> NDArray[np.float64]:
    return np.linspace(0, length_s(profile), edges)


@settings(max_examples=30)
@given(profiles)
def test_constant_arrivals_follow_the_integral_of_the_rate_exactly(
    profile: tuple[Segment, ...],
) -> None:
    at_s = all_of(profile, "constant", 1) / S
    for at in windows(profile)[1:]:
        expected = integral(profile, 0, at)
        assert abs(np.count_nonzero(at_s < at) - expected) <= 1 + 0.005 * expected


@settings(max_examples=30)
@given(profiles, seeds)
def test_poisson_arrivals_follow_the_integral_of_the_rate(
    profile: tuple[Segment, ...], seed: int
) -> None:
    at_s = all_of(profile, "poisson", seed) / S
    edges = windows(profile, 4)
    for begin, end in pairwise(edges):
        expected = integral(profile, begin, end)
        counted = np.count_nonzero((at_s >= begin) & (at_s < end))
        assert abs(counted - expected) <= 6 * math.sqrt(expected) + 6


def thinned(profile: tuple[Segment, ...], peak: float, rng: np.random.Generator) -> np.ndarray:
    """Lewis and Shedler's thinning: too many candidates, each kept with its rate's share."""
    count = rng.poisson(peak * length_s(profile))
    candidates = rng.uniform(0, length_s(profile), count)
    keep = rng.uniform(0, peak, count)
    return np.array([c for c, k in zip(candidates, keep, strict=True) if k < rate_at(profile, c)])


def test_a_ramp_is_distributed_as_thinning_makes_it() -> None:
    profile = (Segment(2, 10, 90), Segment(1, 90, 90), Segment(1, 90, 0))
    rng = np.random.default_rng(7)
    edges = np.linspace(0, 4, 9)
    runs = 150
    ours = np.zeros(8)
    theirs = np.zeros(8)
    for seed in range(runs):
        ours += np.histogram(all_of(profile, "poisson", seed) / S, edges)[0]
        theirs += np.histogram(thinned(profile, 90, rng), edges)[0]
    # chi-square of two Poisson counts, 8 degrees of freedom: beyond 30 once in 5,000
    assert ((ours - theirs) ** 2 / (ours + theirs)).sum() < 30


def kolmogorov(values: np.ndarray) -> float:
    """Distance of unit-exponential values from their law, times √n: above 1.95 once in 1,000."""
    ranked = 1 - np.exp(-np.sort(values))
    n = len(ranked)
    above = np.arange(1, n + 1) / n - ranked
    below = ranked - np.arange(n) / n
    return float(max(above.max(), below.max()) * math.sqrt(n))


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_are_exponential(seed: int) -> None:
    gaps = np.diff(first(20_001, constant_rate(1_000), "poisson", seed)) / S * 1_000
    assert abs(gaps.mean() - 1) < 5 / math.sqrt(20_000)
    assert kolmogorov(gaps) < 1.95


@pytest.mark.parametrize("seed", range(3))
def test_a_workers_share_is_itself_poisson(seed: int) -> None:
    share = all_of(constant_rate(4_000, 20), "poisson", seed, WorkerShare(seed, 4)) / S
    assert kolmogorov(np.diff(share) * 1_000) < 1.95
    counts = np.histogram(share, np.arange(0, 20.05, 0.05))[0]
    # index of dispersion: 1 for Poisson; 400 windows
    chi_square = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    assert abs(chi_square - 399) < 5 * math.sqrt(2 * 399)


@pytest.mark.parametrize("seed", range(3))
def test_gaps_on_a_ramp_are_exponential_in_the_ramps_own_time(seed: int) -> None:
    """Time rescaling: Λ(t) of the arrivals of any Poisson process is a unit process."""
    profile = (Segment(10, 0, 500), Segment(10, 500, 100), Segment(5, 100, 100))
    t = all_of(profile, "poisson", seed) / S
    cumulative = np.select(
        [t < 10, t < 20],
        [25 * t**2, 2_500 + 500 * (t - 10) - 20 * (t - 10) ** 2],
        5_500 + 100 * (t - 20),
    )
    assert kolmogorov(np.diff(cumulative)) < 1.95


def test_constant_gaps_are_equal() -> None:
    starts = first(10_000, constant_rate(300), "constant", 1)
    assert starts[0] == 0
    assert np.abs(np.diff(starts) - S / 300).max() <= 1
    # and do not drift: the last is where multiplication puts it
    assert abs(int(starts[-1]) - 9_999 * S // 300) <= 1


def test_constant_shares_take_turns() -> None:
    two = [first_of_share(WorkerShare(i, 3)) for i in range(3)]
    assert [share[0] for share in two] == [0, 10_000_000, 20_000_000]
    assert all(np.abs(np.diff(share) - 30_000_000).max() <= 1 for share in two)


def first_of_share(share: WorkerShare) -> np.ndarray:
    return next(iter(arrivals(constant_rate(100), "constant", 1, share)))


# --- profiles


def test_a_constant_rate_without_an_end_never_ends() -> None:
    chunks = list(islice(arrivals(constant_rate(1_000), "poisson", 1), 40))
    assert sum(map(len, chunks)) == 40 * 512
    long_after = chunks[-1][-1] / S
    assert long_after == pytest.approx(20.48, abs=1)


def test_a_ramp_goes_on_at_its_last_rate() -> None:
    at_s = first(3_000, ramp(0, 100, 10), "constant", 1) / S
    assert np.count_nonzero(at_s < 10) == 500
    assert np.count_nonzero((at_s >= 15) & (at_s < 20)) == 500
    assert at_s[1] == pytest.approx(math.sqrt(2 / 10))  # 5 t² = 1


def test_steps_follow_one_another_and_end() -> None:
    at_s = all_of(steps([10, 50, 20], 3), "constant", 1) / S
    assert np.histogram(at_s, [0, 3, 6, 9])[0].tolist() == [30, 150, 60]
    assert at_s.max() < 9


def test_a_falling_ramp_reaches_zero_and_ends() -> None:
    at_s = all_of((Segment(10, 20, 0),), "constant", 1) / S
    assert len(at_s) == 100
    assert at_s.max() < 10


def test_a_shallow_ramp_is_the_constant_rate_it_almost_is() -> None:
    almost = all_of((Segment(10, 100, 100 * (1 + 1e-13)),), "constant", 1)
    flat = all_of(constant_rate(100, 10), "constant", 1)
    assert np.abs(almost[:1_000] - flat).max() <= 1


@pytest.mark.parametrize(
    "bad",
    [
        lambda: constant_rate(0),
        lambda: constant_rate(-1),
        lambda: constant_rate(math.nan),
        lambda: constant_rate(math.inf),
        lambda: constant_rate(5, 0),
        lambda: constant_rate(5, -1),
        lambda: constant_rate(5, math.nan),
        lambda: Segment(5, -1, 10),
        lambda: Segment(5, 10, math.nan),
        lambda: Segment(math.inf, 0, 5),
        lambda: Segment(math.inf, 5, 10),
        lambda: ramp(10, 100, math.inf),
        lambda: ramp(0, 0, 5),
        lambda: steps([5, 0], 1),
        lambda: steps([5], 0),
        lambda: pause(math.inf),
        lambda: scaled(constant_rate(5), 0),
    ],
)
def test_degenerate_rates_and_lengths_are_refused(bad: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="rate"):
        bad()


@pytest.mark.parametrize(("index", "count"), [(3, 3), (-1, 3), (0, 0), (5, 2)])
def test_a_share_beyond_its_cluster_is_refused(index: int, count: int) -> None:
    with pytest.raises(ValueError, match="there is no worker"):
        WorkerShare(index, count)


@given(profiles, kinds, seeds, st.floats(0.05, 10))
def test_a_pause_before_a_profile_only_delays_it(
    profile: tuple[Segment, ...], kind: ArrivalKind, seed: int, seconds: float
) -> None:
    delayed = all_of((*pause(seconds), *profile), kind, seed)
    plain = all_of(profile, kind, seed)
    assert delayed.size == plain.size
    assert np.abs(delayed - plain - seconds * S).max(initial=0) <= 2_000  # rounding of floats


def test_a_pause_alone_has_no_arrival() -> None:
    assert all_of(pause(5), "poisson", 1).size == 0


@given(profiles, seeds, st.floats(0.25, 4))
def test_a_scaled_profile_has_so_many_times_the_arrivals(
    profile: tuple[Segment, ...], seed: int, factor: float
) -> None:
    expected = factor * sum(segment.arrivals for segment in profile)
    count = all_of(scaled(profile, factor), "constant", seed).size
    assert abs(count - expected) <= 1 + 1e-6 * expected
