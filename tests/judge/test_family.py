import random

from hypothesis import given
from hypothesis import strategies as st

from loadtests.judge.family import broken_limits


def holm(p_values, alpha):
    """The textbook procedure."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    rejected = set()
    for step, i in enumerate(order):
        if p_values[i] > alpha / (len(p_values) - step):
            break
        rejected.add(i)
    return rejected


def low_of(p_value):
    """A bound above the limit 0 exactly at levels of p and more."""
    return lambda level: level - p_value + 1e-15


p_values = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30)


@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_same_as_holm(ps, alpha):
    found = broken_limits([low_of(p) for p in ps], [0.0] * len(ps), alpha)
    assert {i for i, one in enumerate(found) if one.broken} == holm(ps, alpha)


@given(p_values)
def test_the_bound_shown_agrees_with_the_decision(ps):
    lows = [low_of(p) for p in ps]
    for low, one in zip(lows, broken_limits(lows, [0.0] * len(ps), 0.05), strict=True):
        assert (low(one.level) > 0) == one.broken


@given(p_values)
def test_more_limits_never_break_more_of_the_old(ps):
    alone = broken_limits([low_of(p) for p in ps], [0.0] * len(ps), 0.05)
    wider = broken_limits([low_of(p) for p in [*ps, 1.0]], [0.0] * (len(ps) + 1), 0.05)
    assert all(
        before.broken or not after.broken for before, after in zip(alone, wider, strict=False)
    )


def test_family_wise_false_alarms_stay_below_the_level():
    rng = random.Random(1)
    alarms = 0
    for _ in range(2_000):
        ps = [rng.random() for _ in range(36)]
        alarms += any(
            one.broken for one in broken_limits([low_of(p) for p in ps], [0.0] * 36, 0.05)
        )
    assert alarms / 2_000 < 0.065  # 0.05 + 3 standard errors


def test_no_limits():
    assert broken_limits([], [], 0.05) == []
