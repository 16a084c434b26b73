"""Kind 13: run folders that were damaged on the way, or made to do harm, end in one sentence.

Whatever a folder holds: exit code 2 and what is wrong with which file, or the verdict of what can
still be read. No trace, no wait, no gigabytes, and nothing that a terminal would obey.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.__main__ import run, run_root
from loadtests.config import Config
from loadtests.errors import EXIT_ERROR
from loadtests.judge.judging import judge_run
from loadtests.judge.storing import store_verdict
from loadtests.measure import hlog
from loadtests.measure.histogram import HIGHEST_NS, LENGTH, LOWEST_NS, SIGNIFICANT_DIGITS
from loadtests.measure.results import RunInfo, read_info, read_run
from tests.cli.verbs import write_gate_run

VERBS: Final = ("gate", "report", "compare", "history", "baseline promote")
HARMFUL: Final = "\x1b]0;owned\x07\x1b[2J[/red]\u202e<script>alert(1)</script>"
COMPARED: Final = "other"  # a sound run beside the damaged one


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two sound runs."""
    results = tmp_path_factory.mktemp("sound") / "results"
    for name in ("run", COMPARED):
        write_gate_run(results / name, seconds=8)
    return results


@pytest.fixture
def results(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("loadtests.report.build.pictures", lambda drawings: {})
    shutil.copytree(sound, tmp_path / "results")
    return tmp_path / "results"


def verb(name: str, results: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and all output of a verb on the run."""
    arguments = {
        "gate": ["gate", "results/run"],
        "report": ["report", "results/run"],
        "compare": ["compare", "--allow-differences", f"results/{COMPARED}", "results/run"],
        "history": ["history", "--all"],
        "baseline promote": ["baseline", "promote", "results/run", "--force", "--reason", "test"],
    }[name]
    assert Path.cwd() == results.parent
    sys.argv = ["loadtests", *arguments]
    code = run(run_root)
    return code, "".join(capsys.readouterr())


def check(code: int, output: str) -> None:
    """What holds for every outcome."""
    assert code in {0, 1, 2, 3, 4}
    assert "Traceback" not in output
    assert "Internal error" not in output, output
    assert "\x1b" not in output
    assert "\u202e" not in output
    if code == EXIT_ERROR:
        assert output.count("Error: ") == 1
        assert len(output) < 2_000


def edited(results: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the run's run.json."""
    file = results / "run" / "run.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def replaced(results: Path, name: str, make: Callable[[Path], object]) -> None:
    file = results / "run" / name
    file.unlink()
    make(file)


def set_count(value: object) -> Callable[[Path], None]:
    return lambda results: edited(results, lambda data: data["series"][0].update(count=value))


def add_line(tag: str, body: str, start_s: object = 1.0) -> Callable[[Path], None]:
    """Add a line to the log."""

    def change(results: Path) -> None:
        with (results / "run" / "latency.hlog").open("a") as log:
            log.write(f"Tag={tag},{start_s},1.000,1.000,{body}\n")

    return change


def packed(counts: bytes) -> str:
    """A histogram with these bytes for its counts."""
    head = struct.pack(
        ">iiiiqqd", 0x1C849313, len(counts), 0, SIGNIFICANT_DIGITS, LOWEST_NS, HIGHEST_NS, 1.0
    )
    body = zlib.compress(head + counts)
    return base64.b64encode(struct.pack(">ii", 0x1C849314, len(body)) + body).decode()


def first_tag() -> str:
    return "dynamodb/wire/cart.get/response_time"


ONE_CALL: Final = packed(b"\x02")
HUGE_COUNT: Final = packed(b"\xfe\xff\xff\xff\xff\xff\xff\x7f")
DAMAGES: Final[dict[str, Callable[[Path], None]]] = {
    "a count of 400 digits": set_count(10**400),
    "a count beyond 2^53": set_count(2**60),
    "a negative count": set_count(-1),
    "a count that is a text": set_count("many"),
    "a duration of 1e308 s": lambda r: edited(r, lambda d: d.update(duration_s=1e308)),
    "NaN": lambda r: edited(r, lambda d: d.update(duration_s=float("nan"))),
    "Infinity": lambda r: edited(r, lambda d: d.update(warm_up_s=float("inf"))),
    "a series twice": lambda r: edited(r, lambda d: d["series"].append(d["series"][0])),
    "deep nesting": lambda r: replaced(
        r, "run.json", lambda f: f.write_text("[" * 50_000 + "]" * 50_000)
    ),
    "nesting that json still reads": lambda r: edited(
        r, lambda d: d["config"].update(json.loads('{"x":' * 200 + "1" + "}" * 200))
    ),
    "half of run.json": lambda r: os.truncate(r / "run" / "run.json", 500),
    "an empty run.json": lambda r: os.truncate(r / "run" / "run.json", 0),
    "UTF-16": lambda r: replaced(
        r, "run.json", lambda f: f.write_bytes("{}".encode("utf-16")[:-1])
    ),
    "a FIFO as run.json": lambda r: replaced(r, "run.json", os.mkfifo),
    "a FIFO as latency.hlog": lambda r: replaced(r, "latency.hlog", os.mkfifo),
    "a FIFO as warm-up.hlog": lambda r: replaced(r, "warm-up.hlog", os.mkfifo),
    "a device as run.json": lambda r: replaced(r, "run.json", lambda f: f.symlink_to("/dev/zero")),
    "a device as latency.hlog": lambda r: replaced(
        r, "latency.hlog", lambda f: f.symlink_to("/dev/zero")
    ),
    "a folder as latency.hlog": lambda r: replaced(r, "latency.hlog", Path.mkdir),
    "a link to itself": lambda r: replaced(r, "latency.hlog", lambda f: f.symlink_to(f.name)),
    "no latency.hlog": lambda r: (r / "run" / "latency.hlog").unlink(),
    "a sparse file of 100 GB": lambda r: os.truncate(r / "run" / "latency.hlog", 100_000_000_000),
    "a line without end": lambda r: os.truncate(r / "run" / "latency.hlog", 900_000_000),
    "an unknown backend in a tag": add_line("oracle/wire/cart.get/response_time", ONE_CALL),
    "an unknown metric in a tag": add_line("dynamodb/wire/cart.get/think_time", ONE_CALL),
    "an empty tag": add_line("", ONE_CALL),
    "escapes in a tag": add_line("dynamodb/\x1b[2J/cart.get/response_time", ONE_CALL),
    "a count beyond 2^53 in the log": add_line(first_tag(), HUGE_COUNT),
    "base64 cut short": add_line(first_tag(), ONE_CALL[:-7]),
    "zlib cut short": add_line(
        first_tag(), base64.b64encode(base64.b64decode(ONE_CALL)[:-9]).decode()
    ),
    "a histogram longer than the layout": add_line(first_tag(), packed(b"\x02" * (LENGTH + 5))),
    "a time that is not a number": add_line(first_tag(), ONE_CALL, "nan"),
    "a time of 400 digits": add_line(first_tag(), ONE_CALL, "9" * 400),
    "a second 30 years later": add_line(first_tag(), ONE_CALL, 999_999_999.0),
    "more calls than run.json says": add_line(first_tag(), ONE_CALL),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_run_is_one_sentence_and_exit_code_2(
    results: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate on such a folder ended with a trace and exit code 1, blocked, or filled the memory."""
    damage(results)
    code, output = verb("gate", results, capsys)
    check(code, output)
    assert code == EXIT_ERROR, output
    assert "results/run/" in output
    code, output = verb("history", results, capsys)  # the other run is sound
    check(code, output)
    assert code == 0


def test_lines_of_zeros_take_no_memory(results: Path) -> None:
    """Each of 300 short lines unpacks to 33 kB of counts; decoded at once, they took 700 MB."""
    bomb = packed(b"\x00" * (LENGTH - 1))
    log = results / "run" / "latency.hlog"
    log.write_text(log.read_text() + f"Tag={first_tag()},1.0,1.0,1.0,{bomb}\n" * 300)
    tracemalloc.start()
    try:
        for _ in hlog.read_log(log):
            pass
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()


def test_a_checkout_may_change_the_line_ends(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A baseline in git, checked out with core.autocrlf: "line 4 is damaged"."""
    for name in ("latency.hlog", "warm-up.hlog", "run.json"):
        file = results / "run" / name
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    code, output = verb("gate", results, capsys)
    assert code != EXIT_ERROR, output


def test_nothing_is_written_through_a_link_out_of_the_folder(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """`charts` was a link to another folder, and the report wrote its pictures there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (results / "run" / "charts").symlink_to(outside)
    monkeypatch.setattr("loadtests.report.build.pictures", lambda drawings: {"charts/a.svg": b""})
    code, output = verb("report", results, capsys)
    assert code == EXIT_ERROR
    assert "leads out of the run folder" in output
    assert not list(outside.iterdir())


@pytest.mark.parametrize("name", VERBS)
def test_no_text_of_a_run_reaches_terminal_or_page_as_it_is(
    results: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error's name cleared the screen; one with a bracket ended `history` with MarkupError."""

    def change(data: dict[str, Any]) -> None:
        data["started_at"] = HARMFUL
        data["id"] = HARMFUL
        data["series"][0]["errors"] = {HARMFUL: 1}
        data["targets"]["dynamodb"]["label"] = HARMFUL
        data["environment"]["cpu"] = HARMFUL
        data["config"]["load"]["arrivals"] = HARMFUL
        data["health"]["signals"][0].update(name=HARMFUL, text=HARMFUL)

    edited(results, change)
    check(*verb(name, results, capsys))
    for page in ("report.html", "summary.md", "junit.xml", "metrics.prom", "series.csv"):
        if (results / "run" / page).exists():
            text = (results / "run" / page).read_text()
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert page != "report.html" or "<script>alert" not in text


JSON_VALUES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**53 + 1, 10**400, 1e308, -1e308, 5e-324, 1e-9, 1e15, -0.0]),
    st.sampled_from(["", "p99", "dynamodb", HARMFUL, "a" * 5_000, "\ud800", "1e999"]),
    st.just([]),
    st.just({}),
)


def places_in(value: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in JSON data."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    return [at, *(place for key, part in parts for place in places_in(part, (*at, key)))]


def with_value(data: Any, place: tuple[Any, ...], value: object) -> Any:
    if not place:
        return value
    copy = data.copy()
    copy[place[0]] = with_value(data[place[0]], place[1:], value)
    return copy


@pytest.fixture(scope="module")
def judged(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results with a verdict on the run, so that its fields can be damaged too."""
    results = tmp_path_factory.mktemp("judged") / "results"
    shutil.copytree(sound, results)
    judged_run = read_run(results / "run")
    config = Config()
    store_verdict(judged_run, judge_run(judged_run, config.slo, config.gate, None))
    return results


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_value_of_run_json_may_be_wrong(
    judged: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: st.DataObject,
) -> None:
    """One value of run.json replaced by another; any verb, and the pages that it writes."""
    monkeypatch.setattr("loadtests.report.build.draw", lambda chart: None)
    monkeypatch.setattr("loadtests.report.formats.html.drawn", lambda drawing: None)
    monkeypatch.setattr("loadtests.report.build.render_report", lambda *_: "")
    stored = json.loads((judged / "run" / "run.json").read_text())
    place = data.draw(st.sampled_from(places_in(stored)))
    value = data.draw(JSON_VALUES)
    name = data.draw(st.sampled_from(VERBS))
    file = results / "run" / "run.json"
    file.write_text(json.dumps(with_value(stored, place, value)))
    check(*verb(name, results, capsys))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(position=st.integers(0, 1 << 20), length=st.integers(0, 40), put=st.binary(max_size=40))
def test_any_bytes_of_the_log_may_be_wrong(
    sound: Path,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    position: int,
    length: int,
    put: bytes,
) -> None:
    """Some bytes of latency.hlog replaced by others."""
    content = (sound / "run" / "latency.hlog").read_bytes()
    position %= len(content)
    log = results / "run" / "latency.hlog"
    log.write_bytes(content[:position] + put + content[position + length :])
    check(*verb("baseline promote", results, capsys))


def test_an_id_is_that_of_its_run(results: Path) -> None:
    """`RunInfo` as the writers fill it passes the checks for readers."""
    info = read_info(results / "run")
    assert RunInfo.model_validate_json(info.model_dump_json(by_alias=True)) == info
