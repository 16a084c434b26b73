from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.holm import holm, overall_first_weights


def textbook_holm(p_values: list[float], alpha: float) -> set[int]:
    """The textbook procedure."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    for step, i in enumerate(order):
        if p_values[i] > alpha / (len(p_values) - step):
            break
        rejected.add(i)
    return rejected


def weighted_holm(p_values: list[float], weights: list[float], alpha: float) -> set[int]:
    """The textbook procedure: smallest p over weight first, against the weights still left."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i] / weights[i])
    rejected = set()
    for step, i in enumerate(order):
        left = sum(weights[j] for j in order[step:])
        if p_values[i] > alpha * weights[i] / left:
            break
        rejected.add(i)
    return rejected


def low_of(p_value: float) -> Callable[..., Any]:
    """A bound above the limit 0 exactly at levels of p and more."""
    return lambda level: level - p_value + 1e-15


p_values = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30)


@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_same_as_holm(ps: list[float], alpha: float) -> None:
    found = holm([low_of(p) for p in ps], [0.0] * len(ps), TailProbability(alpha))
    assert {i for i, one in enumerate(found) if one.exceeded} == textbook_holm(ps, alpha)


weighted = st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(0.1, 10.0)), min_size=1, max_size=20)


@given(weighted, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_same_as_weighted_holm(pairs: list[tuple[float, float]], alpha: float) -> None:
    ps, weights = [p for p, _ in pairs], [w for _, w in pairs]
    found = holm([low_of(p) for p in ps], [0.0] * len(ps), TailProbability(alpha), weights)
    assert {i for i, one in enumerate(found) if one.exceeded} == weighted_holm(ps, weights, alpha)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_all_patterns_together_get_half_of_the_error(whole: list[bool]) -> None:
    weights = overall_first_weights(whole)
    few = sum(w for w, one in zip(weights, whole, strict=True) if one)
    if 0 < sum(whole) < len(whole):
        assert abs(few - 0.5) < 1e-9
        assert abs(sum(weights) - 1.0) < 1e-9
    else:
        assert set(weights) == {1.0}


@given(p_values)
def test_the_bound_shown_agrees_with_the_decision(ps: list[float]) -> None:
    lows = [low_of(p) for p in ps]
    for low, one in zip(lows, holm(lows, [0.0] * len(ps), TailProbability(0.05)), strict=True):
        assert (low(one.alpha) > 0) == one.exceeded


@given(p_values)
def test_more_limits_never_break_more_of_the_old(ps: list[float]) -> None:
    alone = holm([low_of(p) for p in ps], [0.0] * len(ps), TailProbability(0.05))
    wider = holm([low_of(p) for p in [*ps, 1.0]], [0.0] * (len(ps) + 1), TailProbability(0.05))
    assert all(
        before.exceeded or not after.exceeded for before, after in zip(alone, wider, strict=False)
    )


def test_family_wise_false_alarms_stay_below_the_level() -> None:
    rng = random.Random(1)
    alarms = 0
    for _ in range(2_000):
        ps = [rng.random() for _ in range(36)]
        alarms += any(
            one.exceeded for one in holm([low_of(p) for p in ps], [0.0] * 36, TailProbability(0.05))
        )
    assert alarms / 2_000 < 0.065  # 0.05 + 3 standard errors


def test_no_limits() -> None:
    assert holm([], [], TailProbability(0.05)) == []
