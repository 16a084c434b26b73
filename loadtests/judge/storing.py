"""Stores a verdict in run.json, and with it how the backends of the run compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from loadtests.errors import ResultsError
from loadtests.judge.interleaved import compare_backends
from loadtests.judge.run_samples import comparable_samples
from loadtests.measure.results import (
    CapacityRun,
    HeadToHead,
    Run,
    Verdict,
    write_info,
)

PERCENTILES_COMPARED: Final = ("p50", "p99")


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
