"""Judge a finished run folder and write its reports, as the gate does."""

from __future__ import annotations

from pathlib import Path

from loadtests.config import Config
from loadtests.judge.baseline import find_baseline
from loadtests.judge.judging import judge_run
from loadtests.judge.storing import store_verdict
from loadtests.measure.results import Run, read_run
from loadtests.report.build import build_reports


def conclude(path: Path, config: Config) -> Run | None:
    """The run with its verdict, its reports beside it; None when it measured no access pattern.

    Raises LoadtestsError.
    """
    run = read_run(path)
    if not any(one.count for one in run.info.series):
        return None
    verdict = judge_run(run, config.slo, config.gate, find_baseline(run, config))
    run = store_verdict(run, verdict)
    build_reports(run.path)
    return run
