"""Makes the calls: subjects alternate in batches of 10 calls, again and again through the pass.

The subjects of a group follow one another in an order drawn anew each time, so that any disturbance
of the machine affects all of them equally. Groups follow one another, so that every group is
measured over the whole length of the pass and not in a good or bad stretch of it. A batch begins
with two calls that do not count: the previous subject has left its code and data in the CPU's
caches, and the cost of a driver must not depend on the others that are measured. Choosing keys,
checking answers and writing results happen between the timed calls.
docs/decisions/micro-benchmarks.md has the reasons.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from loadtests.errors import CallError
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, CallColumns
from loadtests.microbench.suites.plans import SuitePlan
from loadtests.microbench.timing.clocks import Clocks, Seconds

SETTLING: Final = 2  # calls of a batch that do not count


class Pass:
    """One pass over the subjects of a suite.

    `on_second` is called when a second is over (with whether it was warm-up), `on_batches` each
    time that all subjects of a group have had a batch (with the calls done, and the total).
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
        await self._run_phase(self._plan.warm_up, warm_up=True)
        self._on_second(True)
        await self._run_phase(self._plan.iterations, warm_up=False)
        self._on_second(False)

    async def _run_phase(self, iterations: int, *, warm_up: bool) -> None:
        for start in range(0, iterations, self._plan.batch):
            count = min(self._plan.batch, iterations - start)
            for group in self._groups.values():
                self._rng.shuffle(group)
                for subject in group:
                    await self._run_batch(subject, count, warm_up=warm_up)
                self._on_batches(self._done, self._total)
                await asyncio.sleep(0)  # Ctrl-C is handled here when no call ever waits

    async def _run_batch(self, subject: BenchmarkSubject, count: int, *, warm_up: bool) -> None:
        columns = subject.warm_up if warm_up else subject.measured
        if self._plan.batch > SETTLING:
            uncounted = CallColumns(errors=columns.errors)
            for _ in range(SETTLING):
                await timed(subject, uncounted, self._clocks, 0)
        for _ in range(count):
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
    """Make one call and record its time, its client CPU and its wait for a CPU.

    The time of a failed call is recorded too, and its error is counted by name.
    """
    try:
        prepared = subject.case.next_call()
        call = prepared if isinstance(prepared, Call) else await prepared
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
    """Make the call; the name of its error, or an empty text."""
    function, args, settle, guard, _ = call
    now = clocks.now
    start_ns = end_ns = 0
    answer: Any = None  # an awaitable first, where the call is awaited
    error_name = ""
    waited_ns, cpu_ns = clocks.cpu_wait(), clocks.cpu()
    try:
        with guard:
            start_ns = now()
            try:
                answer = function(*args)
                if awaited:
                    answer = await answer
            finally:
                end_ns = now()
    except CallError as error:
        error_name = error.name
    columns.cpu.append(clocks.cpu() - cpu_ns)
    columns.cpu_wait.append(clocks.cpu_wait() - waited_ns)
    columns.service.append(end_ns - start_ns)
    if not error_name:
        try:
            settle(answer)
        except CallError as error:
            error_name = error.name
    return error_name
