"""The steps of a capacity run: pure, from settings to rates, a profile and a plan.

Backends are ramped one after the other, each with the machine to itself: the first is silent when
the second begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.schedule.arrivals import Segment, constant_rate, pause, steps
from loadtests.measure.results import StepInfo

MOST_STEPS: Final = 200
# after the last step: its last second is closed; Locust counts from before its users are spawned
CLOSING_S: Final = 3


def rates_of(config: Config) -> list[float]:
    """Each step's rate, 1/s: from `capacity.from` by factors of `growth` up to the load's rate.

    Raises UsageError for a ramp that goes down or has more than 200 steps.
    """
    ramp, last = config.capacity, config.load.rate
    if ramp.from_ > last:
        raise UsageError(
            f"The ramp begins at {ramp.from_:g}/s, above its last rate of {last:g}/s.",
            hint="Lower --from, or raise --to (--rate in Locust itself).",
        )
    # a last step within a thousandth of the one before would be that one again
    count = math.ceil(math.log(last / ramp.from_ * 0.999, ramp.growth)) if last > ramp.from_ else 0
    if count >= MOST_STEPS:
        raise UsageError(
            f"From {ramp.from_:g}/s to {last:g}/s by factors of {ramp.growth:g} are {count + 1}"
            " steps.",
            hint=f"At most {MOST_STEPS}: raise --growth or --from.",
        )
    return [*(ramp.from_ * ramp.growth**n for n in range(max(count, 0))), last]


def lead_s(config: Config) -> int:
    """Whole seconds at the first rate before the first step: the warm-up."""
    return math.ceil(config.load.warm_up)


def turn_s(config: Config) -> int:
    """Seconds that one backend's ramp takes, its warm-up included."""
    return lead_s(config) + len(rates_of(config)) * config.capacity.step_time


def length_s(config: Config, backends: Sequence[str]) -> int:
    """Seconds that the whole run takes."""
    return turn_s(config) * len(backends) + CLOSING_S


def profile_of(config: Config, backend: str, backends: Sequence[str]) -> tuple[Segment, ...]:
    """A backend's arrivals: silence during other ramps, a warm-up at the first rate, the steps."""
    rates = rates_of(config)
    silent_s = backends.index(backend) * turn_s(config)
    return (
        *(pause(silent_s) if silent_s else ()),
        *(constant_rate(rates[0], lead_s(config)) if lead_s(config) else ()),
        *steps(rates, config.capacity.step_time),
    )


def plan_of(config: Config, backends: Sequence[str]) -> list[StepInfo]:
    """Every step of every backend, in the order of time."""
    steps_in_order = []
    for index, backend in enumerate(backends):
        begin_s = index * turn_s(config) + lead_s(config)
        for number, rate in enumerate(rates_of(config)):
            at_s = begin_s + number * config.capacity.step_time
            steps_in_order.append(
                StepInfo(
                    backend=backend,
                    rate_per_s=rate,
                    begin_s=at_s,
                    measure_from_s=at_s + config.capacity.settle,
                    end_s=at_s + config.capacity.step_time,
                )
            )
    return steps_in_order
