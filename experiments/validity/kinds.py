"""Kinds of starved generators and of healthy ones, drawn by seed.

Each kind draws a trial; `harder` counts the draws that distorted too little.
"""

from dataclasses import dataclass, field

from loadtests.calibrate.server.scripts import MS, Script

WARM_UP_S = 2.0


@dataclass
class Trial:
    """One run to be made. `metric` is what the server's record is compared with.

    With all users busy by the database's own slowness the response time holds waits that are the
    database's, so the service time is compared; None: the server's record does not tell (it was
    stopped itself), and the run counts as healthy unseen.
    """

    script: Script
    rate_per_s: float
    metric: str | None = "response_time"
    users: int | None = None
    starve: dict = field(default_factory=dict)
    real_time: bool = True  # where the system allows it
    stops_s: tuple = ()  # (when after the warm-up, how long) the load process is stopped
    server_stops_s: tuple = ()
    rival_ms: tuple = ()  # (burst, period) of a process on the generator's core

    def words(self):
        """What distinguishes it, in a line."""
        told = [self.script.name, f"{self.rate_per_s:.0f}/s"]
        told += [f"{name} {value:.4g}" for name, value in self.starve.items()]
        if self.users:
            told.append(f"{self.users} users")
        if self.rival_ms:
            told.append("rival {:.1f} of {:.1f} ms".format(*self.rival_ms))
        if not self.real_time:
            told.append("ordinary scheduling")
        for who, stops in (("stopped", self.stops_s), ("server stopped", self.server_stops_s)):
            if stops:
                first_s, held_s = stops[0]
                told.append(f"{who} {len(stops)} × {held_s:.2f} s, first after {first_s:.2f} s")
        if self.script.freeze_ns:
            ms = self.script.freeze_ns // MS, self.script.period_ns // MS
            told.append("frozen {} of {} ms".format(*ms))
        return ", ".join(told)


CONSTANT = Script("constant", delay_ns=2 * MS)
LOGNORMAL = Script("lognormal", "lognormal", 2 * MS, sigma=0.5)


def quick(draw):
    """A server that keeps its promise, at a rate that an undisturbed generator carries well."""
    return draw.choice([CONSTANT, LOGNORMAL]), float(draw.choice([100, 300, 1000]))


# --- starved, by kind: each draws a trial


def burns_in_long_pieces(draw, harder):
    share = min(0.85, draw.uniform(0.1, 0.7) + 0.1 * harder)
    return Trial(*quick(draw), starve={"burn_ms": 100 * share, "every_ms": 100})


def burns_in_short_pieces(draw, harder):
    share, burn_ms = draw.uniform(0.1, 0.7) + 0.05 * harder, draw.uniform(0.5, 8) * (1 + harder)
    return Trial(*quick(draw), starve={"burn_ms": burn_ms, "every_ms": burn_ms / share})


def burns_while_users_are_busy(draw, harder):
    """Nearly every arrival finds all users busy, as with a slow database."""
    share, every = draw.uniform(0.4, 0.7) + 0.05 * harder, draw.uniform(4, 15)
    return Trial(
        Script("slow", delay_ns=draw.randint(20, 60) * MS),
        200.0,
        "service_time",
        users=4,
        starve={"burn_ms": every * share, "every_ms": every},
    )


def rival_on_its_core(draw, harder):
    burst = draw.uniform(4, 30) + 5 * harder
    return Trial(*quick(draw), rival_ms=(burst, burst / draw.uniform(0.2, 0.6)))


def rival_of_an_ordinary_process(draw, harder):
    return Trial(*quick(draw), real_time=False, rival_ms=(1.0, 1.0))


def stopped_for_200_ms(draw, harder):
    return Trial(*quick(draw), stops_s=((draw.uniform(0.5, 3.5), 0.2 + 0.1 * harder),))


def collects_garbage(draw, harder):
    return Trial(
        *quick(draw),
        starve={
            "objects": draw.randint(200_000, 900_000) * (1 + harder),
            "every_ms": draw.uniform(100, 500),
            "after_s": WARM_UP_S,
        },
    )


def blocks_in_the_scenario(draw, harder):
    script, rate = quick(draw)
    block_ms = draw.uniform(5, 50) * (1 + harder)
    # of the loop's time, a twentieth to a half: rate × 30% of the calls × share × length
    share = min(1.0, draw.uniform(0.05, 0.5) / (rate * 0.3 * block_ms / 1e3))
    return Trial(script, rate, starve={"block_ms": block_ms, "share": share})


def too_few_users(draw, harder):
    rate = float(draw.choice([200, 300, 400]))
    slow = Script("constant", delay_ns=draw.randint(8, 20) * MS)
    return Trial(slow, rate, users=draw.randint(1, max(1, 2 - harder)))


def hopeless_rate(draw, harder):
    return Trial(Script("null"), draw.choice([20e3, 50e3, 100e3]))


STARVED = [
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
]


# --- healthy: nothing is wrong but, perhaps, the database


def quick_database(draw, harder):
    return Trial(*quick(draw))


def slow_database(draw, harder):
    slow = Script("slow", delay_ns=draw.randint(30, 150) * MS)
    return Trial(slow, float(draw.choice([50, 100, 300])), "service_time")


def database_with_a_tail(draw, harder):
    tail = Script("tail", "two_point", 2 * MS, draw.randint(50, 400) * MS, draw.uniform(0.01, 0.1))
    return Trial(tail, float(draw.choice([100, 300, 1000])), "service_time")


def freezing_database(draw, harder):
    freeze, period = draw.randint(200, 800) * MS, draw.randint(1_000, 2_500) * MS
    script = Script("freezes", delay_ns=2 * MS, period_ns=period, freeze_ns=freeze)
    rate = draw.choice([100, 300, 1000])
    users = draw.choice([None, round(1.5 * rate)])
    return Trial(script, float(rate), "service_time", users=users)


def hung_database(draw, harder):
    """It stops answering for good during the measured part."""
    stop = (draw.uniform(0.5, 3), 10.0)
    return Trial(CONSTANT, float(draw.choice([100, 300])), None, server_stops_s=(stop,))


def throttled_database(draw, harder):
    """Let run for a part of each period only, as by a container's CPU quota."""
    period = draw.uniform(0.1, 0.5)
    held = period * draw.uniform(0.2, 0.7)
    stops = tuple((at * period, held) for at in range(int(5 / period)))
    return Trial(CONSTANT, float(draw.choice([100, 300])), None, server_stops_s=stops)


HEALTHY = [
    quick_database,
    slow_database,
    database_with_a_tail,
    freezing_database,
    hung_database,
    throttled_database,
]
