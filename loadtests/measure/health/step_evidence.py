"""The generator's health in each step of a capacity run.

Each step gets the rules that a whole run gets, on its own counted seconds. The ramp continues until
something gives out, so that its last steps distort nothing but themselves: as a whole the run is
INVALID only when no step counts, or a worker was lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.validity import judge_validity
from loadtests.measure.histogram import Histogram
from loadtests.measure.results import SeriesInfo, StepInfo, Validity, summarise
from loadtests.measure.series import SeriesName, SeriesPart

STRAGGLING_S: Final = 30  # how late a worker's second may come


@dataclass(slots=True)
class _Step:
    plan: StepInfo
    evidence: GeneratorEvidence
    service: dict[SeriesName, Histogram] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: dict[str, int] = field(default_factory=dict)  # by worker, at its latest second
    signals: list[Signal] = field(default_factory=list)
    validity: Validity | None = None
    final: StepInfo | None = None

    def close(self) -> None:
        """Keep the figures and let go of what they were made from, which is megabytes."""
        self.final = self.info
        self.evidence.workers.clear()
        self.service.clear()

    @property
    def info(self) -> StepInfo:
        if self.final:
            return self.final
        workers = self.evidence.workers.values()
        used = [w.process_cpu.value for w in workers if w.process_cpu.value is not None]
        return self.plan.model_copy(
            update={
                "offered": sum(w.offered for w in workers),
                "queued": sum(w.queued for w in workers),
                "unfinished": sum(self.unfinished.values()),
                "errors": dict(self.errors),
                "generator_cpu": max(used, default=None),
                "signals": self.signals,
                "validity": self.validity,
            }
        )


class StepEvidence:
    """Sorts every worker's seconds into the steps they belong to."""

    def __init__(self, plan: Sequence[StepInfo], sources: Sequence[str]) -> None:
        backends = len({step.backend for step in plan})
        self._workers = max(1, len(sources))
        self._lost: list[str] = []
        self._steps = [
            # users of all backends exist, though one backend at a time has load
            _Step(
                step,
                GeneratorEvidence(
                    dict.fromkeys(sources, step.rate_per_s * backends / self._workers)
                ),
            )
            for step in plan
        ]

    def add(self, row: HealthRow, delays: GeneratorDelays, parts: Iterable[SeriesPart]) -> None:
        """A worker's second is over."""
        second = round(row.time_s)
        for step in self._steps:
            if step.plan.measure_from_s <= second < step.plan.end_s:
                self._add(step, row, delays, parts)
            elif not step.final and second > step.plan.end_s + STRAGGLING_S:
                step.close()

    def lose(self, worker: str, time_s: float) -> None:
        """A worker is gone: from here on no step has its whole load."""
        self._lost.append(worker)
        for step in self._steps:
            if step.plan.end_s > time_s:
                step.evidence.lost.append(worker)
                self._judge(step)

    @property
    def begun(self) -> bool:
        """Whether any step has a counted second."""
        return any(step.validity for step in self._steps)

    def infos(self) -> list[StepInfo]:
        """The plan with what has been seen so far."""
        return [step.info for step in self._steps]

    def judge(self) -> tuple[list[Signal], Validity]:
        """The run as a whole: the signals of the highest sound step, else those of the first."""
        seen = [step for step in self._steps if step.validity]
        sound = [step for step in seen if step.validity and step.validity.valid]
        if self._lost or not seen:
            workers = {name: w for s in seen for name, w in s.evidence.workers.items()}
            return judge_validity(GeneratorEvidence(workers=workers, lost=self._lost))
        shown = sound[-1] if sound else seen[0]
        assert shown.validity
        return shown.signals, shown.validity

    def _add(
        self, step: _Step, row: HealthRow, delays: GeneratorDelays, parts: Iterable[SeriesPart]
    ) -> None:
        step.evidence.add(row, delays)
        share_per_s = step.plan.rate_per_s / self._workers
        step.unfinished[row.worker] = row.in_flight + math.ceil(row.behind_ms / 1e3 * share_per_s)
        for part in parts:
            if part.name.backend == step.plan.backend and not part.warm_up:
                step.errors.update(part.errors)
                times = step.service.setdefault(part.name, Histogram())
                times.add(part.counts["service_time"])
        self._judge(step)

    def _judge(self, step: _Step) -> None:
        series = [
            SeriesInfo(**name._asdict(), count=times.total, service_time_ms=summarise(times))
            for name, times in step.service.items()
        ]
        step.signals, step.validity = judge_validity(step.evidence, series)
