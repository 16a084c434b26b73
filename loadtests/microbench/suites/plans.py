"""How many iterations each suite of the benchmarks makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from loadtests.measure.results import IterationPlan
from loadtests.microbench.suites.cases import Spec

BATCH: Final = 10


class SuitePlan(NamedTuple):
    """Iterations of each case of a suite: measured, and warm-up before; calls in one batch."""

    iterations: int
    warm_up: int
    batch: int = BATCH


@dataclass(frozen=True, slots=True)
class SuitePlans:
    """The plan of each suite; `target_iterations` calls of each access pattern before the first."""

    of_suite: Mapping[str, SuitePlan]
    target_iterations: int = 0

    def with_at_least(self, iterations: int) -> SuitePlans:
        """The same plans, with this many measured iterations where a suite has fewer."""
        raised = {
            suite: plan._replace(iterations=max(plan.iterations, iterations))
            for suite, plan in self.of_suite.items()
        }
        return SuitePlans(raised, self.target_iterations)

    def described(self, selected: Sequence[Spec]) -> dict[str, IterationPlan]:
        """The plans of the suites that take part, for run.json."""
        suites = {spec.suite for spec in selected}
        return {
            suite: IterationPlan(measured=plan.iterations, warm_up=plan.warm_up)
            for suite, plan in self.of_suite.items()
            if suite in suites
        }


# 3,000 calls without an error are about the least that show an error rate below 0.1%. DynamoDB
# Local's compiler needs some 30,000 calls. Clients are made in batches of one, so that the garbage
# of one is collected before the next is made, and not meanwhile.
FULL: Final = SuitePlans(
    {
        "access patterns": SuitePlan(3_000, 200),
        "fan-outs": SuitePlan(300, 20),
        "cart sizes": SuitePlan(400, 40),
        "clients": SuitePlan(600, 100),
        "threads": SuitePlan(100, 20),
        "between others": SuitePlan(400, 20, batch=1),
        "first calls": SuitePlan(120, 20),
        "cold starts": SuitePlan(30, 5, batch=1),
    },
    target_iterations=2_500,
)
QUICK: Final = SuitePlans(
    {
        "access patterns": SuitePlan(370, 30),
        "fan-outs": SuitePlan(30, 10),
        "cart sizes": SuitePlan(40, 10),
        "clients": SuitePlan(50, 10),
        "threads": SuitePlan(20, 5),
        "between others": SuitePlan(75, 10, batch=1),
        "first calls": SuitePlan(15, 5, batch=5),
        "cold starts": SuitePlan(3, 0, batch=1),
    },
    target_iterations=200,
)
ONCE: Final = SuitePlans(dict.fromkeys(FULL.of_suite, SuitePlan(1, 0, batch=1)))
