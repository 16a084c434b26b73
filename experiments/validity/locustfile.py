"""The cart scenario in a load process that is starved from inside, as `STARVE` (JSON) says.

The starving goes on throughout, so it also happens during the warm-up.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

import gevent
from gevent.monkey import get_original
from locust import events

from loadtests.load.plugin import access_pattern

sys.path.insert(0, str(Path(__file__).parents[2] / "scenarios"))
import cart

STARVE: Final[dict[str, float]] = json.loads(os.environ.get("STARVE", "{}"))
block = get_original("time", "sleep")  # the one that gevent has not made cooperative


class StarvedUser(cart.CartUser):
    """The scenario's own user, except that some reads begin by blocking the event loop."""

    draw = random.Random(1)

    @access_pattern("cart.get", share=30)
    def get(self) -> None:
        """Read a cart."""
        if "block_ms" in STARVE and self.draw.random() < STARVE["share"]:
            block(STARVE["block_ms"] / 1e3)
        super().get()


def burn() -> None:
    """Work for `burn_ms` of every `every_ms`, in one piece."""
    while True:
        until = time.perf_counter() + STARVE["burn_ms"] / 1e3
        while time.perf_counter() < until:
            pass
        gevent.sleep(max(0.0, (STARVE["every_ms"] - STARVE["burn_ms"]) / 1e3))


def collect() -> None:
    """Collect the whole of a heap again and again, made after the harness froze its own."""
    gevent.sleep(STARVE["after_s"])
    heap = [[number] for number in range(int(STARVE["objects"]))]
    while heap:
        gc.collect()
        gevent.sleep(STARVE["every_ms"] / 1e3)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def on_start(**_: object) -> None:
    """Begin to starve the loop."""
    if "burn_ms" in STARVE:
        gevent.spawn(burn)
    if "objects" in STARVE:
        gevent.spawn(collect)
