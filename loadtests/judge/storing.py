"""Judges a run by settings, and stores the verdict in run.json.

With it goes how the backends of the run compare, and where the limits came from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from loadtests.config import Config, SettingsOrigin
from loadtests.errors import ResultsError
from loadtests.judge.baseline import find_baseline
from loadtests.judge.interleaved import compare_backends, compare_interleaved
from loadtests.judge.judging import judge_run
from loadtests.judge.run_samples import comparable_samples
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.subject_verdict import compared_pair, joined, verdict_of
from loadtests.measure.results import (
    CapacityRun,
    HeadToHead,
    Run,
    RunInfo,
    Verdict,
    write_info,
)

PERCENTILES_COMPARED: Final = ("p50", "p99")


def judge_with(run: Run, config: Config, alpha: TailProbability | None = None) -> Verdict:
    """The verdict on a run as it stands, against its baseline if it has one.

    Of a run that compared a subject with its base: the graver of the verdict by limits and of the
    comparison.
    """
    pair = compared_pair(run.info)
    baseline = None if pair else find_baseline(run, config)
    verdict = judge_run(run, config.slo, config.gate, baseline, alpha=alpha)
    if pair:
        allowed = config.slo.relative
        comparison = compare_interleaved(run, *pair, allowed, 1.0 - verdict.level)
        confidence = config.gate.confidence
        verdict = joined(verdict, verdict_of(run, comparison, allowed, confidence))
    return verdict.model_copy(update={"limits_from": config.limits_from})


def with_stored_limits(info: RunInfo, config: Config) -> Config:
    """The settings with the limits and rules of judging that a run stores, where it does.

    Those that it was made under, else those that it was last judged by.
    """
    stored, verdict = info.config, info.verdict
    slo = stored.slo or (verdict.slo if verdict else None)
    if slo is None:
        return config
    gate = stored.gate
    if gate is None and verdict is not None:
        gate = config.gate.model_copy(update={"confidence": verdict.confidence})
    origin = stored.limits_from
    if stored.slo is None and verdict is not None:
        origin = verdict.limits_from
    update = {
        "slo": slo,
        "gate": gate or config.gate,
        "limits_from": (origin or SettingsOrigin(kind="unknown")).model_copy(
            update={"stored": True}
        ),
    }
    return config.model_copy(update=update)


def store_verdict(run: Run, verdict: Verdict, capacity_run: CapacityRun | None = None) -> Run:
    """Write the verdict into run.json, and with it the comparison of DynamoDB with PostgreSQL.

    `capacity_run` are the judged steps of a capacity run. Returns the run with all that is stored.
    """
    info = run.info.model_copy(
        update={
            "verdict": verdict,
            "capacity_run": capacity_run or run.info.capacity_run,
            "head_to_head": head_to_head(run, verdict),
        }
    )
    write_info(run.path, info)
    return replace(run, info=info)


def head_to_head(run: Run, verdict: Verdict) -> HeadToHead | None:
    """DynamoDB against PostgreSQL in the metric that the run was judged by.

    None where there is nothing to compare: one backend only; an invalid run, or one whose generator
    added delay to both sides, so its figures say nothing about the databases; a capacity run, whose
    backends were not under load at the same time.
    """
    valid = run.info.validity is None or run.info.validity.valid
    if verdict.status == "INVALID" or not valid or run.info.steps:
        return None
    metric, confidence = verdict.metric, verdict.confidence
    try:
        ratios = compare_backends(
            run, metric=metric, confidence=confidence, percentiles=PERCENTILES_COMPARED
        )
    except ResultsError as error:
        return HeadToHead(metric=metric, confidence=confidence, problem=error.message)
    return (
        HeadToHead(
            metric=metric,
            confidence=confidence,
            basis=comparable_samples([run])[0].basis,
            ratios=tuple(ratios),
        )
        if ratios
        else None
    )
