"""The climb as pure functions: rates, profile and plan agree, whatever the settings."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.config import CapacitySettings, Config, Load
from loadtests.errors import UsageError
from loadtests.load.schedule.arrivals import WorkerShare, arrivals
from loadtests.load.schedule.steps import length_s, plan_of, profile_of, rates_of, turn_s
from loadtests.patterns import BACKENDS


def climb(
    from_: float = 10.0,
    to: float = 50.0,
    growth: float = 1.5,
    step_time: int = 4,
    settle: int = 1,
    warm_up: float = 2.0,
) -> Config:
    return Config(
        load=Load(rate=to, warm_up=warm_up),
        capacity=CapacitySettings.model_validate(
            {"from": from_, "to": to, "growth": growth, "step_time": step_time, "settle": settle}
        ),
    )


climbs = st.builds(
    lambda first, reach, growth, step_time, warm_up: climb(
        first, first * reach, growth, step_time, 1, warm_up
    ),
    st.floats(1, 60),
    st.floats(1, 6),
    st.floats(1.05, 4),
    st.integers(3, 6),
    st.sampled_from([0.0, 1.5, 3.0]),
)


@given(climbs)
def test_rates_rise_by_the_growth_from_the_first_to_the_last(config: Config) -> None:
    rates = rates_of(config)
    assert rates[-1] == config.load.rate
    assert rates[0] == pytest.approx(config.capacity.from_, rel=2e-3)
    growths = [b / a for a, b in pairwise(rates)]
    assert all(g == pytest.approx(config.capacity.growth) for g in growths[:-1])
    assert all(1 < g <= config.capacity.growth * 1.0011 for g in growths[-1:])


def slowly(config: Config) -> list[float]:
    """Multiply until the last rate is reached."""
    rates, rate = [], config.capacity.from_
    while rate < config.load.rate * 0.999:
        rates.append(rate)
        rate *= config.capacity.growth
    return [*rates, config.load.rate]


@given(climbs)
def test_rates_are_those_of_the_slow_way(config: Config) -> None:
    # to an edge's width: a rate within rounding of the thousandth may be one step more or less
    fast, slow = rates_of(config), slowly(config)
    assert abs(len(fast) - len(slow)) <= 1
    if len(fast) == len(slow):
        assert fast == pytest.approx(slow)


@settings(max_examples=40)
@given(climbs, st.sampled_from([("dynamodb",), ("postgres",), BACKENDS]), st.integers(1, 3))
def test_arrivals_come_in_the_planned_steps_and_nowhere_else(
    config: Config, backends: tuple[str, ...], workers: int
) -> None:
    """Constant arrivals, counted second by second against the plan; all workers together."""
    plan = plan_of(config, backends)
    for backend in backends:
        profile = profile_of(config, backend, backends)
        shares = [WorkerShare(i, workers) for i in range(workers)]
        chunks = [chunk for s in shares for chunk in arrivals(profile, "constant", 1, s)]
        at_s = np.concatenate([*chunks, np.zeros(0, np.int64)]) / 1e9
        mine = [step for step in plan if step.backend == backend]
        for step in mine:
            inside = ((at_s >= step.begin_s) & (at_s < step.end_s)).sum()
            assert abs(inside - step.rate_per_s * (step.end_s - step.begin_s)) <= 1.001
        begin_s = mine[0].begin_s - math.ceil(config.load.warm_up)
        assert (at_s >= begin_s - 1e-6).all()
        assert (at_s < mine[-1].end_s + 1e-6).all()


@given(climbs, st.sampled_from([("dynamodb",), BACKENDS]))
def test_steps_follow_each_other_in_whole_seconds(
    config: Config, backends: tuple[str, ...]
) -> None:
    plan = plan_of(config, backends)
    assert len(plan) == len(rates_of(config)) * len(backends)
    for step in plan:
        assert step.measure_from_s - step.begin_s == config.capacity.settle
        assert step.end_s - step.begin_s == config.capacity.step_time
        assert step.begin_s == int(step.begin_s)
    for step, next_step in pairwise(plan):
        if step.backend == next_step.backend:
            assert step.end_s == next_step.begin_s
        else:  # the next backend's warm-up lies between
            assert next_step.begin_s - step.end_s == math.ceil(config.load.warm_up)
    assert plan[-1].end_s < length_s(config, backends)
    assert turn_s(config) * len(backends) == plan[-1].end_s


def test_the_seed_decides_the_schedule() -> None:
    def drawn(seed: int) -> list[np.int64]:
        profile = profile_of(climb(), "dynamodb", BACKENDS)
        return list(np.concatenate(list(arrivals(profile, "poisson", seed))))

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_one_rate_is_one_step() -> None:
    assert rates_of(climb(from_=50, to=50)) == [50]


def test_a_climb_downwards_is_refused() -> None:
    config = climb(from_=10)
    lower = config.model_copy(update={"load": Load(rate=5)})
    with pytest.raises(UsageError, match="begins at 10/s, above its last rate of 5/s"):
        rates_of(lower)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="are 696 steps"):
        rates_of(climb(from_=10, to=10_000, growth=1.01))
