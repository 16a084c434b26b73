"""How many rounds each part of the benchmarks makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.microbench.suites.cases import Plan, Spec


@dataclass(frozen=True, slots=True)
class Plans:
    """The plan of each part; `target_rounds` calls of each access pattern before the first."""

    of_part: Mapping[str, Plan]
    target_rounds: int = 0

    def with_at_least(self, rounds: int) -> Plans:
        """The same with so many measured rounds where a part has fewer."""
        raised = {
            part: plan._replace(rounds=max(plan.rounds, rounds))
            for part, plan in self.of_part.items()
        }
        return Plans(raised, self.target_rounds)

    def described(self, selected: Sequence[Spec]) -> dict[str, Any]:
        """What run.json says of them: those of the parts that take part."""
        parts = {spec.part for spec in selected}
        return {
            part: {"measured": plan.rounds, "warm_up": plan.warm_up}
            for part, plan in self.of_part.items()
            if part in parts
        }


# 3,000 calls without an error are the least that show an error rate under 0.1%. DynamoDB Local's
# compiler has done by some 30,000 calls. Clients are made in turns of one, so that what one leaves
# behind is collected before the next is made, and not during it.
FULL: Final = Plans(
    {
        "access patterns": Plan(3_000, 200),
        "fan-outs": Plan(300, 20),
        "cart sizes": Plan(400, 40),
        "clients": Plan(600, 100),
        "threads": Plan(100, 20),
        "between others": Plan(400, 20, turn=1),
        "first calls": Plan(120, 20),
        "cold starts": Plan(30, 5, turn=1),
    },
    target_rounds=2_500,
)
QUICK: Final = Plans(
    {
        "access patterns": Plan(370, 30),
        "fan-outs": Plan(30, 10),
        "cart sizes": Plan(40, 10),
        "clients": Plan(50, 10),
        "threads": Plan(20, 5),
        "between others": Plan(75, 10, turn=1),
        "first calls": Plan(15, 5, turn=5),
        "cold starts": Plan(3, 0, turn=1),
    },
    target_rounds=200,
)
ONCE: Final = Plans(dict.fromkeys(FULL.of_part, Plan(1, 0, turn=1)))
