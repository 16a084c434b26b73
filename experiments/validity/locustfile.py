"""The cart scenario in a load process that is starved from inside, as `STARVE` (JSON) says.

The starving goes on throughout, so it also happens during the warm-up.
"""

import gc
import json
import os
import random
import sys
import time
from pathlib import Path

import gevent
from gevent.monkey import get_original
from locust import events

from loadtests.load.plugin import access_pattern

sys.path.insert(0, str(Path(__file__).parents[2] / "scenarios"))
import cart

STARVE = json.loads(os.environ.get("STARVE", "{}"))
block = get_original("time", "sleep")  # what gevent has not made cooperative


class StarvedUser(cart.CartUser):
    """The scenario's own user, but its reads may begin with a call that blocks the loop."""

    chance = random.Random(1)

    @access_pattern("cart.get", share=30)
    def get(self):
        if "block_ms" in STARVE and self.chance.random() < STARVE["share"]:
            block(STARVE["block_ms"] / 1e3)
        super().get()


def burn():
    """`burn_ms` of work in every `every_ms`, in one piece."""
    while True:
        until = time.perf_counter() + STARVE["burn_ms"] / 1e3
        while time.perf_counter() < until:
            pass
        gevent.sleep(max(0.0, (STARVE["every_ms"] - STARVE["burn_ms"]) / 1e3))


def collect():
    """A heap that was made after the harness froze its own, collected whole again and again."""
    gevent.sleep(STARVE["after_s"])
    heap = [[number] for number in range(STARVE["objects"])]
    while heap:
        gc.collect()
        gevent.sleep(STARVE["every_ms"] / 1e3)


@events.test_start.add_listener
def on_start(**_):
    if "burn_ms" in STARVE:
        gevent.spawn(burn)
    if "objects" in STARVE:
        gevent.spawn(collect)
