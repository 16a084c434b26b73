from __future__ import annotations

from pathlib import Path

from loadtests.measure.results import Key
from loadtests.patterns import CLOUDSHELF_PATTERNS, METRICS
from tests.known import known
from tests.run_folders import MadeSeries, made_series, write_run


def test_a_made_run_holds_every_series_second_and_count(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", seconds=5, warm_up_s=2)
    assert len(run.intervals) == len(CLOUDSHELF_PATTERNS) * 2 * len(METRICS)
    for info in run.info.series:
        for metric in METRICS:
            key = Key(info.backend, info.driver, info.pattern, metric)
            assert len(run.intervals[key]) == 5
            assert len(run.warm_up[key]) == 2
            assert run.total(key).total == info.count
    assert known(run.info.validity).valid


def test_same_seed_same_run(tmp_path: Path) -> None:
    series = [MadeSeries()]
    one = write_run(tmp_path / "a", series=series, seconds=3, seed=7)
    two = write_run(tmp_path / "b", series=series, seconds=3, seed=7)
    assert one.intervals == two.intervals
    other = write_run(tmp_path / "c", series=series, seconds=3, seed=8)
    assert one.intervals != other.intervals


def test_changes_apply_to_all() -> None:
    assert {one.median_ms for one in made_series(median_ms=20.0)} == {20.0}
