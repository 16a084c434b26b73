"""Kinds of starved generators and of healthy ones, drawn by seed.

Each kind draws a trial; `harder` counts the draws that distorted too little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from loadtests.calibrate.server.scripts import MS, Script

WARM_UP_S: Final = 2.0


class ProcessStop(NamedTuple):
    """A process is stopped `after_s` seconds after the warm-up, for `length_s`."""

    after_s: float
    length_s: float


class Burst(NamedTuple):
    """A process burns `burst_ms` of every `period_ms`."""

    burst_ms: float
    period_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run to be made.

    `metric` is the time that is compared with the server's record. When the database's own slowness
    keeps all users busy, the response time includes waits that the database caused, so the service
    time is compared. None: the server's record does not show the truth (the server was stopped
    itself), and the run counts as healthy without a comparison. `starve` is for `locustfile.py`.
    `rival` burns CPU on the generator's core, in a real-time class above the generator's unless
    `real_time` is false.
    """

    script: Script
    rate_per_s: float
    metric: str | None = "response_time"
    users: int | None = None
    starve: Mapping[str, float] = field(default_factory=dict)
    real_time: bool = True
    generator_stops: Sequence[ProcessStop] = ()
    server_stops: Sequence[ProcessStop] = ()
    rival: Burst | None = None

    def description(self) -> str:
        """What distinguishes it, in one line."""
        words = [self.script.name, f"{self.rate_per_s:.0f}/s"]
        words += [f"{name} {value:.4g}" for name, value in self.starve.items()]
        if self.users:
            words.append(f"{self.users} users")
        if self.rival:
            words.append(f"rival {self.rival.burst_ms:.1f} of {self.rival.period_ms:.1f} ms")
        if not self.real_time:
            words.append("ordinary scheduling")
        for name, stops in (
            ("stopped", self.generator_stops),
            ("server stopped", self.server_stops),
        ):
            if stops:
                words.append(
                    f"{name} {len(stops)} × {stops[0].length_s:.2f} s,"
                    f" first after {stops[0].after_s:.2f} s"
                )
        if self.script.freeze_ns:
            words.append(
                f"frozen {self.script.freeze_ns // MS} of {self.script.period_ns // MS} ms"
            )
        return ", ".join(words)


Kind = Callable[[Random, int], Trial]
CONSTANT: Final = Script("constant", delay_ns=2 * MS)
LOGNORMAL: Final = Script("lognormal", "lognormal", 2 * MS, sigma=0.5)


def _fast_server(draw: Random) -> Script:
    return draw.choice([CONSTANT, LOGNORMAL])


def _easy_rate_per_s(draw: Random) -> float:
    """A rate that an undisturbed generator sustains easily."""
    return float(draw.choice([100, 300, 1000]))


# --- starved, by kind


def burns_in_long_pieces(draw: Random, harder: int) -> Trial:
    """One long computation in every 100 ms of the event loop."""
    share = min(0.85, draw.uniform(0.1, 0.7) + 0.1 * harder)
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        starve={"burn_ms": 100 * share, "every_ms": 100},
    )


def burns_in_short_pieces(draw: Random, harder: int) -> Trial:
    """Many short computations in the event loop."""
    share, burn_ms = draw.uniform(0.1, 0.7) + 0.05 * harder, draw.uniform(0.5, 8) * (1 + harder)
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        starve={"burn_ms": burn_ms, "every_ms": burn_ms / share},
    )


def burns_while_users_are_busy(draw: Random, harder: int) -> Trial:
    """Nearly every arrival finds all users busy, as with a slow database."""
    share, every_ms = draw.uniform(0.4, 0.7) + 0.05 * harder, draw.uniform(4, 15)
    return Trial(
        script=Script("slow", delay_ns=draw.randint(20, 60) * MS),
        rate_per_s=200.0,
        metric="service_time",
        users=4,
        starve={"burn_ms": every_ms * share, "every_ms": every_ms},
    )


def rival_on_its_core(draw: Random, harder: int) -> Trial:
    """A process with a higher priority takes part of the generator's core."""
    burst_ms = draw.uniform(4, 30) + 5 * harder
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        rival=Burst(burst_ms, burst_ms / draw.uniform(0.2, 0.6)),
    )


def rival_of_an_ordinary_process(draw: Random, harder: int) -> Trial:
    """An endless loop on the core of a generator without a real-time class."""
    del harder
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        real_time=False,
        rival=Burst(1.0, 1.0),
    )


def stopped_for_200_ms(draw: Random, harder: int) -> Trial:
    """The load process is stopped once."""
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        generator_stops=[ProcessStop(draw.uniform(0.5, 3.5), 0.2 + 0.1 * harder)],
    )


def collects_garbage(draw: Random, harder: int) -> Trial:
    """Full garbage collections of a large heap."""
    return Trial(
        script=_fast_server(draw),
        rate_per_s=_easy_rate_per_s(draw),
        starve={
            "objects": draw.randint(200_000, 900_000) * (1 + harder),
            "every_ms": draw.uniform(100, 500),
            "after_s": WARM_UP_S,
        },
    )


def blocks_in_the_scenario(draw: Random, harder: int) -> Trial:
    """Some calls of the scenario block the event loop."""
    script, rate_per_s = _fast_server(draw), _easy_rate_per_s(draw)
    block_ms = draw.uniform(5, 50) * (1 + harder)
    # of the loop's time, a twentieth to a half: rate × 30% of the calls × share × length
    share = min(1.0, draw.uniform(0.05, 0.5) / (rate_per_s * 0.3 * block_ms / 1e3))
    return Trial(
        script=script, rate_per_s=rate_per_s, starve={"block_ms": block_ms, "share": share}
    )


def too_few_users(draw: Random, harder: int) -> Trial:
    """Arrivals queue for users although the server keeps its promise."""
    rate_per_s = float(draw.choice([200, 300, 400]))
    slow = Script("constant", delay_ns=draw.randint(8, 20) * MS)
    return Trial(script=slow, rate_per_s=rate_per_s, users=draw.randint(1, max(1, 2 - harder)))


def hopeless_rate(draw: Random, harder: int) -> Trial:
    """A rate beyond what one generator can send."""
    del harder
    return Trial(script=Script("null"), rate_per_s=draw.choice([20e3, 50e3, 100e3]))


STARVED: Final[Sequence[Kind]] = (
    burns_in_long_pieces,
    burns_in_short_pieces,
    burns_while_users_are_busy,
    rival_on_its_core,
    rival_of_an_ordinary_process,
    stopped_for_200_ms,
    collects_garbage,
    blocks_in_the_scenario,
    too_few_users,
    hopeless_rate,
)


# --- healthy: nothing is wrong except, perhaps, the database. `harder` is only another draw.


def quick_database(draw: Random, harder: int) -> Trial:
    """A server that keeps its promise."""
    del harder
    return Trial(script=_fast_server(draw), rate_per_s=_easy_rate_per_s(draw))


def slow_database(draw: Random, harder: int) -> Trial:
    """Every call is slow."""
    del harder
    return Trial(
        script=Script("slow", delay_ns=draw.randint(30, 150) * MS),
        rate_per_s=float(draw.choice([50, 100, 300])),
        metric="service_time",
    )


def database_with_a_tail(draw: Random, harder: int) -> Trial:
    """Some calls are much slower than the rest."""
    del harder
    return Trial(
        script=Script(
            "tail",
            "two_point",
            2 * MS,
            slow_ns=draw.randint(50, 400) * MS,
            slow_share=draw.uniform(0.01, 0.1),
        ),
        rate_per_s=float(draw.choice([100, 300, 1000])),
        metric="service_time",
    )


def freezing_database(draw: Random, harder: int) -> Trial:
    """It answers nothing for part of each period."""
    del harder
    freeze_ns, period_ns = draw.randint(200, 800) * MS, draw.randint(1_000, 2_500) * MS
    rate_per_s = draw.choice([100, 300, 1000])
    users = draw.choice([None, round(1.5 * rate_per_s)])
    return Trial(
        script=Script("freezes", delay_ns=2 * MS, period_ns=period_ns, freeze_ns=freeze_ns),
        rate_per_s=float(rate_per_s),
        metric="service_time",
        users=users,
    )


def hung_database(draw: Random, harder: int) -> Trial:
    """It stops answering for good during the measured part."""
    del harder
    stop = ProcessStop(draw.uniform(0.5, 3), 10.0)
    return Trial(
        script=CONSTANT,
        rate_per_s=float(draw.choice([100, 300])),
        metric=None,
        server_stops=[stop],
    )


def throttled_database(draw: Random, harder: int) -> Trial:
    """It runs for a part of each period only, as under a container's CPU quota."""
    del harder
    period_s = draw.uniform(0.1, 0.5)
    stop_s = period_s * draw.uniform(0.2, 0.7)
    stops = [ProcessStop(number * period_s, stop_s) for number in range(int(5 / period_s))]
    return Trial(
        script=CONSTANT,
        rate_per_s=float(draw.choice([100, 300])),
        metric=None,
        server_stops=stops,
    )


HEALTHY: Final[Sequence[Kind]] = (
    quick_database,
    slow_database,
    database_with_a_tail,
    freezing_database,
    hung_database,
    throttled_database,
)
