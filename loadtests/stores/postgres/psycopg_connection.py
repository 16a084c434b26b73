"""A psycopg connection that times out, yields to other greenlets, and stamps its wire time.

psycopg talks to the server through generators that yield whenever they must wait for the socket. By
default it waits in C, which would block every greenlet, or, once gevent has patched the process, on
a polling object created for each wait. Here a greenlet waits on one watcher per connection, which
costs a third less CPU per call (docs/decisions/stores.md).
"""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any, Final

from psycopg import Connection, RawCursor
from psycopg.abc import RV, PQGen
from psycopg.waiting import Ready, Wait

from loadtests.stores import TIMEOUT_S
from loadtests.stores.gevent_patch import gevent_has_patched
from loadtests.stores.postgres.rows import timed_out
from loadtests.stores.wire_time import WireTime

_EVENTS: Final = {Wait.R: 1, Wait.W: 2, Wait.RW: 3}  # libev's READ and WRITE


class TimedConnection(Connection[tuple[Any, ...]]):
    """Every wait for the server ends within `timeout_s`, or raises CallTimeout."""

    timeout_s: float = TIMEOUT_S
    _watchers: _Watchers | None = None

    def wait(self, gen: PQGen[RV], *_: Any, **__: Any) -> RV:
        """See psycopg's Connection.wait; its own interval is ignored."""
        if self._watchers is None and gevent_has_patched("select"):
            self._watchers = _Watchers(self.pgconn.socket, self.timeout_s)
        if self._watchers is not None:
            return self._watchers.drive(gen)
        return super().wait(_until(monotonic() + self.timeout_s, gen, self.timeout_s))

    def close(self) -> None:
        """Close the connection and its watchers."""
        if self._watchers is not None:
            self._watchers.close()
            self._watchers = None
        super().close()


class TimedCursor(RawCursor[tuple[Any, ...]]):
    """A cursor that stamps `wire` when it sends a statement and when it has read results.

    psycopg has no public place for this. If these methods move, `wire_ns` stays 0 and the contract
    tests fail.
    """

    wire: WireTime

    def _execute_send(self, *args: Any, **settings: Any) -> None:
        self.wire.sending()
        super()._execute_send(*args, **settings)

    def _send_prepare(self, *args: Any, **settings: Any) -> None:
        self.wire.sending()
        super()._send_prepare(*args, **settings)

    def _send_query_prepared(self, *args: Any, **settings: Any) -> None:
        self.wire.sending()
        super()._send_query_prepared(*args, **settings)

    def _check_results(self, *args: Any, **settings: Any) -> None:
        self.wire.received()
        super()._check_results(*args, **settings)


def _until(deadline_s: float, gen: PQGen[RV], timeout_s: float) -> Generator[Wait, Ready | int, RV]:
    """`gen`, ended by CallTimeout once psycopg's own wait has nothing ready by the deadline."""
    try:
        waiting_for = next(gen)
        while True:
            ready = yield waiting_for
            if not ready and monotonic() > deadline_s:
                raise timed_out(timeout_s)
            waiting_for = gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result


class _Watchers:
    """gevent's watchers of one connection's descriptor, and the deadline."""

    def __init__(self, descriptor: int, timeout_s: float) -> None:
        from gevent import get_hub
        from gevent.hub import Waiter

        self._new_waiter = Waiter
        self._hub = get_hub()
        self._timeout_s = timeout_s
        self._timer = self._hub.loop.timer(timeout_s, timeout_s)
        self._of = {wait: self._hub.loop.io(descriptor, events) for wait, events in _EVENTS.items()}

    def drive(self, gen: PQGen[RV]) -> RV:
        """Run `gen`, yielding to other greenlets while it waits."""
        try:
            waiting_for = next(gen)
            while True:
                self._sleep(self._of[waiting_for])
                # If one of them is not ready, psycopg makes one call in vain.
                waiting_for = gen.send(Ready.RW)
        except StopIteration as end:
            result: RV = end.value
            return result

    def _sleep(self, watcher: Any) -> None:
        waiter = self._new_waiter(self._hub)
        # Not `start`: a libev timer that was stopped continues with its remaining time.
        self._timer.again(waiter.switch, True)
        watcher.start(waiter.switch, False)
        try:
            if waiter.get():
                raise timed_out(self._timeout_s)
        finally:
            watcher.stop()
            self._timer.stop()

    def close(self) -> None:
        for watcher in (self._timer, *self._of.values()):
            watcher.stop()
            watcher.close()
