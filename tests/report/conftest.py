"""Run folders that the report's tests share; made once, so tests must not change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.config import Gate, Slo
from loadtests.judge.judging import judge_run
from loadtests.judge.storing import store_verdict
from loadtests.measure.health.signals import Signal
from loadtests.measure.results import (
    EnvironmentInfo,
    HealthInfo,
    LimitVerdict,
    Run,
    RunConfig,
    TargetInfo,
    Verdict,
    read_run,
)
from tests.run_folders import MadeSeries, made_series, write_run

HOSTILE = "<b>`x`|*y*\n$z$&\"'\x00\u202e@all"


def judge(path: Path, slo: Slo | None = None) -> Run:
    """Judge a run folder and store its verdict."""
    run = read_run(path)
    return store_verdict(run, judge_run(run, slo or Slo(), Gate()))


@pytest.fixture(scope="session")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All nine patterns on both backends, judged PASS, with a warm-up."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-storefront-pass"
    series = made_series(tail_share=0.0, drift=0.05, sigma=0.2, rate_per_s=100.0)
    write_run(path, series=series, seconds=40, warm_up_s=4)
    return judge(path)


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """As `passed`, but cart.add on PostgreSQL is far beyond its limit and has errors."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-storefront-fail"
    series = [
        replace(one, median_ms=15.0, error_share=0.02)
        if (one.backend, one.pattern) == ("postgres", "cart.add")
        else one
        for one in made_series(tail_share=0.0, drift=0.05, sigma=0.2, rate_per_s=100.0)
    ]
    write_run(path, series=series, seconds=40, warm_up_s=4)
    return judge(path)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose every text from outside tries to break out of its place."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-storefront-evil"
    series = made_series(["cart.get"], error_share=0.2, error_name=HOSTILE)
    run = write_run(path, series=series, seconds=10, warm_up_s=1, scenario=HOSTILE)
    info = run.info.model_copy(
        update={
            "id": HOSTILE,
            "series": [one.model_copy(update={"pattern": HOSTILE}) for one in run.info.series],
            "targets": {
                "dynamodb": TargetInfo(label=f"{HOSTILE} http://u:hunter2@127.0.0.1/"),
                "postgres": TargetInfo(label=f"{HOSTILE} postgresql://u:hunter2@127.0.0.1/x"),
            },
            "config": RunConfig.model_validate(
                {HOSTILE: {"dsn": "postgresql://u:hunter2@h/x", "password": "hunter2"}}
            ),
            "environment": EnvironmentInfo.model_validate(
                {"cpu": HOSTILE, "conninfo": "host=h password=hunter2 user=u"}
            ),
            "health": HealthInfo(signals=[Signal(HOSTILE, HOSTILE, 1, HOSTILE, None, ok=False)]),
            "verdict": Verdict(
                status="FAIL",
                sentence=HOSTILE,
                confidence=0.95,
                level=0.05,
                limits=(
                    LimitVerdict(
                        backend="dynamodb",
                        driver="wire",
                        pattern=HOSTILE,
                        metric="response_time",
                        kind="absolute",
                        percentile="p99",
                        limit=1.0,
                        estimate=2.0,
                        low=1.5,
                        high=None,
                        calls=10,
                        needed_calls=None,
                        status="FAIL",
                        sentence=HOSTILE,
                    ),
                ),
            ),
        }
    )
    return replace(run, info=info)


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two subjects of one access pattern, for a few seconds: a run to put verdicts on."""
    path = tmp_path_factory.mktemp("results") / "20260302T093000Z-cart-compared"
    series = [MadeSeries(driver=driver) for driver in ("base", "head")]
    return write_run(path, series=series, seconds=3, warm_up_s=1)
