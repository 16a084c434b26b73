"""How many iterations each suite makes."""

from __future__ import annotations

from loadtests.measure.results import IterationPlan
from loadtests.microbench.suites.plans import FULL, QUICK
from loadtests.microbench.suites.specs import access_patterns
from loadtests.order_statistics import min_calls


def test_plans_have_enough_calls_for_a_p99_with_its_interval() -> None:
    assert set(FULL.of_suite) == set(QUICK.of_suite)
    # none failed: below 0.1% with 95% confidence
    assert FULL.of_suite["access patterns"].iterations >= min_calls(0.999)
    # the least for a two-sided 95% interval
    assert QUICK.of_suite["access patterns"].iterations >= min_calls(0.99, 0.025)


def test_more_iterations_where_a_suite_has_fewer() -> None:
    raised = QUICK.with_at_least(100)
    assert raised.of_suite["fan-outs"].iterations == 100
    assert raised.of_suite["access patterns"] == QUICK.of_suite["access patterns"]


def test_plans_of_the_selected_suites_are_described() -> None:
    assert FULL.described(access_patterns()) == {
        "access patterns": IterationPlan(measured=3_000, warm_up=200)
    }
