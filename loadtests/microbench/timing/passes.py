"""Makes the calls: subjects in turns of 10 calls each, over and over through the whole pass.

The subjects of a group follow one another in an order drawn anew each time, so that whatever
disturbs the machine disturbs all alike; groups follow one another, so that every group is measured
over the whole length of the pass and not in a lucky or unlucky stretch of it. A turn begins with
two calls that do not count: the subject before has left its code and data in the CPU's caches, and
what a driver costs must not depend on who else is measured. Choosing keys, checking answers and
writing results happen between the timed calls. docs/decisions/micro-benchmarks.md has the reasons.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from loadtests.errors import CallError
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, CallColumns, SuitePlan
from loadtests.microbench.timing.clocks import Clocks

SETTLING: Final = 2  # calls of a turn that do not count
_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Seconds:
    """Which second of the run it is; `origin_ns` on the clock is its start."""

    clocks: Clocks
    origin_ns: int
    begun_ns: int = 0

    def __post_init__(self) -> None:
        self.begun_ns = self.origin_ns

    @property
    def index(self) -> int:
        """The second under way, as the log numbers it: its start, rounded."""
        return round((self.begun_ns - self.origin_ns) / _NS)

    def over(self) -> bool:
        """Whether it has lasted a second or more."""
        return self.clocks.now() - self.begun_ns >= _NS

    def next(self) -> tuple[float, float]:
        """Begin the next one; start and length in seconds of the one that ends."""
        now = self.clocks.now()
        ended = ((self.begun_ns - self.origin_ns) / _NS, (now - self.begun_ns) / _NS)
        self.begun_ns = now
        return ended


class Pass:
    """One pass over subjects that belong together.

    `on_second` is told when a second is over (and whether it was warm-up), `on_batches` how many
    calls of how many are done each time a group has had its turns.
    """

    def __init__(
        self,
        subjects: Sequence[BenchmarkSubject],
        plan: SuitePlan,
        *,
        clocks: Clocks,
        seconds: Seconds,
        rng: Random,
        on_second: Callable[[bool], None],
        on_batches: Callable[[int, int], None],
    ) -> None:
        self._plan = plan
        self._clocks = clocks
        self._seconds = seconds
        self._rng = rng
        self._on_second = on_second
        self._on_batches = on_batches
        self._groups: dict[str, list[BenchmarkSubject]] = {}
        for subject in subjects:
            self._groups.setdefault(subject.spec.group, []).append(subject)
        self._total = len(subjects) * (plan.iterations + plan.warm_up)
        self._done = 0

    async def run(self) -> None:
        """Warm up, then measure."""
        await self._phase(self._plan.warm_up, warm_up=True)
        self._on_second(True)
        await self._phase(self._plan.iterations, warm_up=False)
        self._on_second(False)

    async def _phase(self, iterations: int, *, warm_up: bool) -> None:
        for begun in range(0, iterations, self._plan.batch):
            for group in self._groups.values():
                self._rng.shuffle(group)
                for subject in group:
                    await self._batch(
                        subject, min(self._plan.batch, iterations - begun), warm_up=warm_up
                    )
                self._on_batches(self._done, self._total)
                await asyncio.sleep(0)  # where Ctrl-C is heard among calls that never wait

    async def _batch(self, subject: BenchmarkSubject, iterations: int, *, warm_up: bool) -> None:
        columns = subject.warm_up if warm_up else subject.measured
        if self._plan.batch > SETTLING:
            unmeasured = CallColumns(errors=columns.errors)
            for _ in range(SETTLING):
                await timed(subject, unmeasured, self._clocks, 0)
        for _ in range(iterations):
            await timed(subject, columns, self._clocks, self._seconds.index)
            self._done += 1
            if self._seconds.over():
                self._on_second(warm_up)
        await self._tidy(subject, columns)

    async def _tidy(self, subject: BenchmarkSubject, columns: CallColumns) -> None:
        for call in subject.case.tidy():
            try:
                with call.guard:
                    answer = call.function(*call.args)
                    if inspect.isawaitable(answer):
                        answer = await answer
                call.settle(answer)
            except CallError as error:
                columns.errors[error.name] += 1
                break


async def timed(
    subject: BenchmarkSubject, columns: CallColumns, clocks: Clocks, second: int
) -> None:
    """Make one call and note its time, its client CPU and its wait for a CPU.

    A call that fails has its time noted too, and its error counted by name.
    """
    try:
        made = subject.case.next_call()
        call = made if isinstance(made, Call) else await made
    except CallError as error:
        columns.errors[error.name] += 1
        return
    error_name = await _make(call, subject.case.awaited, columns, clocks)
    columns.second.append(second)
    if call.store is not None:
        columns.wire.append(call.store.wire_ns)
    if error_name:
        columns.errors[error_name] += 1


async def _make(call: Call, awaited: bool, columns: CallColumns, clocks: Clocks) -> str:
    function, args, settle, guard, _ = call
    now = clocks.now
    began = done = 0
    answer: Any = None
    error_name = ""
    waited_ns, cpu_ns = clocks.cpu_wait(), clocks.cpu()
    try:
        with guard:
            began = now()
            try:
                answer = function(*args)
                if awaited:
                    answer = await answer
            finally:
                done = now()
    except CallError as error:
        error_name = error.name
    columns.cpu.append(clocks.cpu() - cpu_ns)
    columns.cpu_wait.append(clocks.cpu_wait() - waited_ns)
    columns.service.append(done - began)
    if not error_name:
        try:
            settle(answer)
        except CallError as error:
            error_name = error.name
    return error_name
