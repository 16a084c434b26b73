"""Ctrl-C and SIGTERM while a run is measured: the first ends the measurement, the second the verb.

What was measured until the first is judged, as Locust does it. Elsewhere both end the verb at once
(`__main__.py`), and the context managers on the way take processes and databases down.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

from loadtests.errors import Terminated

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class StopRequest:
    """Whether the user has asked for the end of the measurement, and by which signal."""

    signal: int | None = None

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Note the first signal; end the verb at the second. Raises KeyboardInterrupt."""
        if self.signal is not None:
            end_verb(number)
        self.signal = number


def end_verb(number: int) -> NoReturn:
    """Raise KeyboardInterrupt, or its subclass Terminated for SIGTERM."""
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Let the first SIGINT or SIGTERM within the block be a request, and not an exception."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread gets signals
        return
    before: dict[signal.Signals, Callable[..., Any] | int | None] = {
        number: signal.signal(number, request.on_signal)
        for number in SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN  # nohup, or a script's background
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
