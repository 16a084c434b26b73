from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.errors import ResultsError
from loadtests.measure import hlog, results
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import (
    ConsumedCapacity,
    Key,
    RunInfo,
    SeriesInfo,
    read_info,
    read_run,
)
from tests.known import known
from tests.run_folders import MadeSeries, write_run

TIMES = {"p50": 1.0, "p90": 2.0, "p99": 3.0, "p99.9": 4.0, "max": 5.0}


def info(**changes: object) -> dict[str, Any]:
    """A complete run.json as data."""
    series = {
        "backend": "dynamodb", "driver": "wire", "pattern": "cart.get", "count": 10,
        "errors": {"CallTimeout": 1}, "unfinished": 1, "response_time_ms": TIMES,
        "service_time_ms": TIMES, "wire_time_ms": TIMES,
        "capacity": {"rcu_per_op": 0.5, "wcu_per_op": 0.0},
    }  # fmt: skip
    return {
        "schema_version": 2, "id": "x", "scenario": "cart", "state": "complete",
        "started_at": "2026-03-02T09:30:00Z", "duration_s": 30.0, "warm_up_s": 3.0,
        "series": [series], "validity": {"valid": True, "reasons": []},
    } | changes  # fmt: skip


def put(folder: Path, data: object) -> Path:
    text = data if isinstance(data, str) else json.dumps(data)
    (folder / "run.json").write_text(text, encoding="utf-8")
    return folder


def with_series(**changes: object) -> dict[str, Any]:
    whole = info()
    whole["series"][0] |= changes
    return whole


def test_a_complete_run_json_is_read(tmp_path: Path) -> None:
    read = read_info(put(tmp_path, info()))
    assert known(read.series[0].response_time_ms).p999 == 4.0
    assert read.series[0].errors == {"CallTimeout": 1}
    assert read.series[0].capacity == ConsumedCapacity(rcu_per_op=0.5, wcu_per_op=0.0)


def test_fields_of_a_later_minor_version_are_kept(tmp_path: Path) -> None:
    assert read_info(put(tmp_path, info(colour="blue"))).model_extra == {"colour": "blue"}


def test_a_newer_schema_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(
        ResultsError, match=r"schema_version 3; this version reads up to 2"
    ) as caught:
        read_info(put(tmp_path, info(schema_version=3)))
    assert caught.value.hint
    # before anything else is looked at: the rest may well be of another shape
    with pytest.raises(ResultsError, match="schema_version 7"):
        read_info(put(tmp_path, {"schema_version": 7, "runs": []}))


@pytest.mark.parametrize("cut", [0, 1, 40, 200, -3])
def test_a_truncated_run_json_is_named(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ResultsError, match="cut short or damaged") as caught:
        read_info(put(tmp_path, json.dumps(info())[:cut]))
    assert str(tmp_path / "run.json") in caught.value.message


@pytest.mark.parametrize(
    "text", ["\x00" * 100, "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, '{"id": "x"'],
    ids=["zeroes", "deep list", "deep object", "long number", "unclosed"],
)  # fmt: skip
def test_hostile_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ResultsError, match="cut short or damaged"):
        read_info(put(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b'{"id": "\xff\xfe"}')
    with pytest.raises(ResultsError, match="cut short or damaged"):
        read_info(tmp_path)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ([], "the whole file"),
        ("7", "the whole file"),
        ("null", "the whole file"),
        ({}, "id"),
        (info(state="done"), "state"),
        (info(schema_version="2"), "schema_version"),
        (info(schema_version=1.5), "schema_version"),
        (info(schema_version=0), "schema_version"),
        (info(duration_s=NAN), "duration_s"),
        (info(duration_s=-1), "duration_s"),
        (info(warm_up_s=INF), "warm_up_s"),
        (info(warm_up_s=-0.5), "warm_up_s"),
        (info(series={}), "series"),
        (info(series=[3]), "series.0"),
        (info(config=[]), "config"),
        (info(targets={"dynamodb": "local"}), "targets.dynamodb"),
        (info(validity={"reasons": []}), "validity.valid"),
        (info(validity={"valid": "perhaps"}), "validity.valid"),
        (info(validity={"valid": False, "reasons": [{"rule": "x"}]}), "validity.reasons.0.found"),
        (with_series(count=-1), "series.0.count"),
        (with_series(count=1.5), "series.0.count"),
        (with_series(count="many"), "series.0.count"),
        (with_series(unfinished=-1), "series.0.unfinished"),
        (with_series(errors={"CallTimeout": -1}), "series.0.errors.CallTimeout"),
        (with_series(errors=["CallTimeout"]), "series.0.errors"),
        (with_series(response_time_ms=TIMES | {"p99": NAN}), "series.0.response_time_ms.p99"),
        (with_series(response_time_ms=TIMES | {"p99.9": -1}), "series.0.response_time_ms.p99.9"),
        (with_series(wire_time_ms={"p50": 1.0}), "series.0.wire_time_ms.p90"),
        (with_series(service_time_ms=TIMES | {"max": INF}), "series.0.service_time_ms.max"),
        (with_series(capacity={"rcu_per_op": -1}), "series.0.capacity.rcu_per_op"),
        (with_series(capacity={"wcu_per_op": NAN}), "series.0.capacity.wcu_per_op"),
        (with_series(pattern=None), "series.0.pattern"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, data: object, field: str) -> None:
    with pytest.raises(ResultsError) as caught:
        read_info(put(tmp_path, data))
    assert f"{tmp_path / 'run.json'}: field {field}: " in caught.value.message


def test_what_is_no_run_folder_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is not a run folder") as caught:
        read_run(tmp_path)
    assert "results/latest" in caught.value.hint
    (tmp_path / "run.json").mkdir()
    with pytest.raises(ResultsError, match=r"run\.json"):
        read_run(tmp_path)


def test_a_run_without_its_log_or_with_a_damaged_one_is_refused(tmp_path: Path) -> None:
    put(tmp_path, info())
    with pytest.raises(ResultsError, match=r"latency\.hlog is missing"):
        read_run(tmp_path)
    body = hlog.encode(Sparse.of(np.array([5])))
    for tag in ("cart.get", "a/b/c", "a/b/c/d/e"):
        (tmp_path / "latency.hlog").write_text(f"Tag={tag},0.000,1.000,0.000,{body}\n")
        with pytest.raises(ResultsError, match=r"latency\.hlog: tag .* is not backend/driver"):
            read_run(tmp_path)


def test_a_run_folder_is_read_whole(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", series=[MadeSeries(rate_per_s=20)], seconds=4, warm_up_s=2)
    key = Key("dynamodb", "wire", "cart.get", "response_time")
    assert [i.start_s for i in run.intervals[key]] == [2.0, 3.0, 4.0, 5.0]
    assert [i.start_s for i in run.warm_up[key]] == [0.0, 1.0]
    assert run.total(key).total == run.info.series[0].count
    assert run.total(Key("no", "such", "series", "response_time")).total == 0
    assert read_run(tmp_path / "latest").path == (tmp_path / "run").resolve()
    (tmp_path / "run" / "warm-up.hlog").unlink()
    assert read_run(tmp_path / "run").warm_up == {}


def test_a_key_and_its_tag_are_the_same() -> None:
    key = Key("postgres", "psycopg", "session.get", "wire_time")
    assert key.tag == "postgres/psycopg/session.get/wire_time"
    assert Key.parse(key.tag) == key


def test_run_json_is_written_as_it_is_read(tmp_path: Path) -> None:
    written = RunInfo.model_validate(info())
    results.write_info(tmp_path, written)
    assert read_info(tmp_path) == written
    assert "p99.9" in json.loads((tmp_path / "run.json").read_text())["series"][0]["wire_time_ms"]
    assert os.listdir(tmp_path) == ["run.json"]
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o644


class DiskFull(OSError):
    pass


@pytest.mark.parametrize("failing", ["write", "chmod", "replace", "interrupt"])
def test_a_write_that_fails_leaves_the_old_run_json_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    results.write_info(tmp_path, RunInfo.model_validate(info()))
    before = (tmp_path / "run.json").read_bytes()

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt if failing == "interrupt" else DiskFull

    if failing == "write":
        whole = os.fdopen

        def fdopen(*args: Any, **kwargs: Any) -> Any:
            out = whole(*args, **kwargs)
            out.write(b"{ half a fi")
            out.write = refuse
            return out

        monkeypatch.setattr(os, "fdopen", fdopen)
    else:
        monkeypatch.setattr(os, "chmod" if failing == "chmod" else "replace", refuse)
    with pytest.raises((DiskFull, KeyboardInterrupt)):
        results.write_info(tmp_path, RunInfo.model_validate(info(state="interrupted")))
    monkeypatch.undo()
    assert (tmp_path / "run.json").read_bytes() == before
    assert os.listdir(tmp_path) == ["run.json"]


def test_summaries_are_the_histograms_quantiles_in_milliseconds() -> None:
    histogram = Histogram()
    assert results.summarise(histogram) is None
    histogram.add(Sparse.of(np.arange(1, 1_001) * 1_000))
    times = known(results.summarise(histogram))
    found = [times.p50, times.p90, times.p99, times.p999, times.max]
    assert found == [v / 1e6 for v in histogram.quantiles_ns([0.5, 0.9, 0.99, 0.999, 1.0])]
    assert found == pytest.approx([0.5, 0.9, 0.99, 0.999, 1.0], rel=1e-3)


def test_a_series_without_calls_has_no_times() -> None:
    empty = SeriesInfo(backend="dynamodb", driver="wire", pattern="cart.get", count=0)
    assert empty.response_time_ms is None
