"""A gate against a base: limits on head alone, and the comparison with base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.config import Config, Slo
from loadtests.judge.storing import judge_with
from loadtests.judge.subject_verdict import compared_pair, joined
from loadtests.measure.results import Run, Status, SubjectInfo, Verdict
from tests.run_folders import MadeSeries, write_run

CONFIG = Config(slo=Slo(p99_ms=10.0, error_rate=None))


def run_of(path: Path, *, base_ms: float, head_ms: float) -> Run:
    """Three patterns of two subjects called at the same time; no tail."""
    series = [
        MadeSeries(
            driver=driver, pattern=pattern, median_ms=median_ms, sigma=0.1, tail_share=0.0,
            rate_per_s=100.0, drift=0.02, shared=1.0,
        )
        for driver, median_ms in (("base", base_ms), ("head", head_ms))
        for pattern in ("cart.get", "cart.add", "cart.remove")
    ]  # fmt: skip
    run = write_run(
        path, series=series, seconds=60,
        config={"patterns": ["cart.get", "cart.add", "cart.remove"]},
    )  # fmt: skip
    subjects = [
        SubjectInfo(name="base", backend="dynamodb", client="shop:make", judged=False),
        SubjectInfo(name="head", backend="dynamodb", client="shop:make"),
    ]
    return replace(run, info=run.info.model_copy(update={"subjects": subjects}))


@pytest.mark.parametrize(
    ("base_ms", "head_ms", "status", "sentence"),
    [
        (2.0, 2.0, "PASS", "PASS: dynamodb/head over dynamodb/base: nothing is slower"),
        (2.0, 2.6, "FAIL", "FAIL: dynamodb/head over dynamodb/base: "),
        (20.0, 2.0, "PASS", "PASS: dynamodb/head over dynamodb/base: nothing is slower"),
        (20.0, 20.0, "FAIL", "PASS: dynamodb/head over dynamodb/base: nothing is slower"),
    ],
    ids=["equal and fast", "slower", "base breaks the limits", "both break the limits"],
)
def test_the_graver_of_both_decides(
    tmp_path: Path, base_ms: float, head_ms: float, status: Status, sentence: str
) -> None:
    verdict = judge_with(run_of(tmp_path / "run", base_ms=base_ms, head_ms=head_ms), CONFIG)
    assert verdict.status == status, verdict.sentence
    assert sentence in verdict.sentence
    assert {limit.driver for limit in verdict.limits} == {"head"}
    assert {limit.kind for limit in verdict.limits} == {"absolute", "relative"}
    assert verdict.baseline
    assert verdict.baseline.name == "dynamodb/base in the same run"
    assert {estimate.driver for estimate in verdict.estimates} == {"base", "head"}


def test_without_a_base_every_subject_is_judged(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", base_ms=20.0, head_ms=2.0)
    plain = replace(run, info=run.info.model_copy(update={"subjects": []}))
    assert compared_pair(plain.info) is None
    verdict = judge_with(plain, CONFIG)
    assert verdict.status == "FAIL"
    assert {limit.driver for limit in verdict.limits} == {"base", "head"}


def test_the_graver_sentence_comes_first() -> None:
    absolute = Verdict(status="PASS", sentence="A.", confidence=0.95, level=0.05, reasons=("x",))
    relative = absolute.model_copy(update={"status": "INVALID", "sentence": "R."})
    both = joined(absolute, relative)
    assert (both.status, both.sentence, both.reasons) == ("INVALID", "R. A.", ("x",))
