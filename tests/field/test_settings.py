"""Kind 2: an explicit setting that cannot be honoured is an error, and never ignored.

Each situation says what the user had and what the gate did with it before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from loadtests.__main__ import run, run_root
from loadtests.config import SETTINGS, ZIPF_EXPONENT, load_config
from loadtests.config_sources import INTERNAL_VARIABLES, OTHER_VARIABLES
from loadtests.errors import EXIT_ERROR, ConfigError, UsageError
from loadtests.judge.slo import uncalled_limits
from loadtests.load.workload import Zipf
from loadtests.measure.results import RunConfig, Verdict, read_info, write_info
from tests.cli.verbs import SLOW_MS, run_verb, write_gate_run

ROOT = Path(__file__).resolve().parents[2]
STRICT = "[slo]\np99_ms = 2\n"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LOADTESTS_")]:
        monkeypatch.delenv(name)


def problems(text: bytes | str = "", environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a settings file in the current folder, and with variables."""
    content = text.encode() if isinstance(text, str) else text
    if content:
        Path("loadtests.toml").write_bytes(content)
    try:
        load_config(environ=environ or {})
    except ConfigError as error:
        return error.problems
    return []


def loadtests(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["loadtests", *arguments])
    return run(run_root)


@pytest.mark.parametrize("named", ["missing.toml", ".", "link.toml", "pipe.toml", "empty/x.toml"])
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_file_that_was_named_and_cannot_be_read(
    named: str, by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI named `ci/strict.toml`, which was not checked out: built-in limits, another verdict."""
    Path("link.toml").symlink_to("nowhere")
    os.mkfifo("pipe.toml")  # reading it would wait for ever
    monkeypatch.setenv("LOADTESTS_CONFIG", "unused.toml" if by == "flag" else named)
    flags = ["--config", named] if by == "flag" else []
    assert loadtests(monkeypatch, "gate", *flags) == EXIT_ERROR
    error = capsys.readouterr().err
    assert named in error
    assert "Internal error" not in error


def test_a_file_without_permission_or_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settings file of another user; and a log that was named by mistake."""

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "long.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="longer than"):
        load_config(environ={"LOADTESTS_CONFIG": "long.toml"})
    (tmp_path / "loadtests.toml").write_text(STRICT)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_config(environ={})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (STRICT.encode("utf-16"), "UTF-16"),
        (STRICT.encode("utf-16-le"), "UTF-16"),
        (STRICT.encode("utf-32"), "UTF-32"),
        (STRICT.encode() + b"\0", "line 3"),
        (STRICT.encode() + b'x = "\xe9"', "0xe9"),
        (STRICT.encode() + b"p99_ms = 3\n", "line 3"),
        (b"x = " + b"[" * 5_000, "nested too deeply"),
    ],
)
def test_a_file_in_another_encoding_or_form(content: bytes, problem: str) -> None:
    """A file that PowerShell's `>` wrote; a key that stands twice."""
    Path("loadtests.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        load_config(environ={})


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(mark: bytes) -> None:
    """A file that Notepad saved: `Invalid statement (at line 1, column 1)`."""
    Path("loadtests.toml").write_bytes(mark + STRICT.replace("\n", "\r\n").encode())
    assert load_config(environ={}).slo.p99_ms == 2


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("LOADTESTS_RAET", "LOADTESTS_RATE"),
        ("LOADTEST_RATE", "LOADTESTS_RATE"),
        ("LOAD_TESTS_RUN_TIME", "LOADTESTS_RUN_TIME"),
        ("loadtests_seed", "LOADTESTS_SEED"),
        ("LOADTESTS_POSTGRES_DNS", "LOADTESTS_POSTGRES_DSN"),
        ("LOADTESTS_CONFG", "LOADTESTS_CONFIG"),
    ],
)
def test_a_misspelt_variable(variable: str, meant: str) -> None:
    """`LOADTESTS_RAET=50` was ignored, and a gate made ten times the load."""
    [problem] = problems(environ={variable: "50"})
    assert problem.startswith(f"{variable}: no such variable; did you mean {meant}?")


def test_variables_of_a_service_of_that_name_are_not_ours() -> None:
    """A Kubernetes service called `loadtests` gives every container such variables."""
    of_a_service = {
        "LOADTESTS_SERVICE_HOST": "10.0.0.1",
        "LOADTESTS_SERVICE_PORT_HTTP": "80",
        "LOADTESTS_PORT": "tcp://10.0.0.1:80",
        "LOADTESTS_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert problems(environ=of_a_service) == []


def test_a_secret_that_is_not_there_is_not_the_default() -> None:
    """A pull request from a fork has no secrets: the gate passed on embedded PostgreSQL."""
    [problem] = problems(environ={"LOADTESTS_POSTGRES_DSN": ""})
    assert problem.startswith("LOADTESTS_POSTGRES_DSN: is empty")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rate = 300", "rate: no such setting; did you mean [load] rate?"),
        ("[load]\nwarmup = 1", "load.warmup: no such setting; did you mean warm_up?"),
        ("[sol]\np99_ms = 1", "sol: no such setting; did you mean slo?"),
        ("[gate]\nrun_time = 1", "gate.run_time: no such setting; did you mean [load] run_time?"),
        ("[slo]\np99 = 1", "slo.p99: no such setting; did you mean p99_ms"),
        ("[slo]\np99.9_ms = 1", 'slo.p99: no such setting; quote the key: "p99.9_ms"'),
        ("[slo.patterns.cart.get]\np99_ms = 1", 'quote the pattern: [slo.patterns."cart.get"]'),
        ('[slo.patterns."Cart.Get"]\np99_ms = 1', "is no name of an access pattern: words of a-z"),
        ("[slo.patterns.a.b.c]\np99_ms = 1", 'quote the pattern: [slo.patterns."a.b.c"]'),
        ("[slo.backends.dynamo]\np99_ms = 1", "no such name; did you mean dynamodb?"),
        ('[slo.backends.postgres.patterns."cart.get"]\np99ms = 1', "did you mean p99_ms?"),
        ("[limits_from]\nkind = 'file'", "limits_from: no such setting"),
    ],
)
def test_an_unknown_key_at_any_depth(text: str, problem: str) -> None:
    """A limit under a misspelt key is a limit that is not judged."""
    assert any(problem in each for each in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("load.rate", "true"),
        ("load.rate", '"300"'),
        ("load.rate", "nan"),
        ("load.rate", "-inf"),
        ("load.rate", "1" + "0" * 400),
        ("load.run_time", '"60s"'),
        ("load.seed", "1.0"),
        ("load.seed", "2026-11-28"),
        ("load.seed", "[1]"),
        ("targets.allow_remote", "1"),
        ("slo.p99_ms", "0"),
        ("slo.error_rate", "-0.1"),
        ("gate.confidence", "95"),
        ("data.users", "2_000_000"),
        ("results", '" "'),
        ("targets.region", '""'),
    ],
)
def test_a_value_of_another_type_or_range(key: str, value: str) -> None:
    """`rate = true` made one call per second."""
    path, _, name = key.rpartition(".")
    header = f"[{path}]\n" if path else ""
    [problem] = problems(f"{header}{name} = {value}\n")
    assert problem.startswith(f"loadtests.toml: {key}: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOADTESTS_RATE", "1_000"),
        ("LOADTESTS_RATE", "inf"),
        ("LOADTESTS_RUN_TIME", "60s"),
        ("LOADTESTS_SEED", "1.5"),
        ("LOADTESTS_SEED", "9" * 5_000),
        ("LOADTESTS_ALLOW_REMOTE", "sure"),
        ("LOADTESTS_BACKEND", "Both"),
    ],
)
def test_a_variable_that_is_no_such_value(variable: str, value: str) -> None:
    """`LOADTESTS_RUN_TIME=60s`, as Locust writes it."""
    [problem] = problems(environ={variable: value})
    assert problem.startswith(f"{variable}: ")
    assert len(problem) < 300
    if value == "60s":
        assert "without a unit" in problem


def test_every_variable_in_the_code_is_known() -> None:
    """A variable that the harness itself reads or passes on must not be refused."""
    known = {setting.variable for setting in SETTINGS.values()}
    known |= {*OTHER_VARIABLES, *INTERNAL_VARIABLES}
    sources = [*(ROOT / "loadtests").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]
    sources += [ROOT / "Makefile"]
    named = {
        name
        for source in sources
        for name in re.findall(r"\bLOADTESTS_[A-Z][A-Z_]*\b", source.read_text(encoding="utf-8"))
    }
    assert named - known - {"LOADTESTS_LOAD__RATE"} == set()


def test_settings_say_where_limits_come_from(tmp_path: Path) -> None:
    """Two jobs with two files had two verdicts, and nothing said which file was read."""
    assert load_config(environ={}).limits_from.words == "built-in"
    (tmp_path / "other.toml").write_text(STRICT)
    for named in ("other.toml", str(tmp_path / "other.toml")):
        words = load_config(environ={"LOADTESTS_CONFIG": named}).limits_from.words
        assert re.fullmatch(r"other\.toml \(SHA-256 [0-9a-f]{12}\)", words)
    (tmp_path / "loadtests.toml").write_text("[load]\nrate = 5\n")
    words = load_config(environ={}).limits_from.words
    assert words.startswith("built-in; loadtests.toml (SHA-256 ")


def test_an_exponent_of_zero_calls_all_keys_equally_often() -> None:
    """A cache in front of the table hid behind the skew, which could not be changed."""
    draws = 20_000

    def most_frequent(exponent: float) -> int:
        zipf = Zipf(100, (1, 0, 2), exponent)
        drawn = [zipf.draw() for _ in range(draws)]
        return max(map(drawn.count, set(drawn)))

    assert most_frequent(0.0) < draws * 0.02
    assert most_frequent(ZIPF_EXPONENT) > draws * 0.15
    assert most_frequent(2.0) > draws * 0.5


# --- which limits a finished run is judged by


@pytest.fixture
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.report.build.build_reports", lambda path: [path / "report.html"])


def verdict_in(path: Path) -> Verdict:
    verdict = read_info(path).verdict
    assert verdict is not None
    return verdict


def write_stored(path: Path, slo: str = STRICT) -> Path:
    """A run of cart.get that was made under these limits."""
    config = load_config(environ={}, path=written(path.with_suffix(".toml"), slo))
    stored = config.model_dump(mode="json", by_alias=True, include={"slo", "gate", "limits_from"})
    run = write_gate_run(path)
    info = read_info(run)
    settings = {**info.config.model_dump(mode="json", by_alias=True), **stored}
    write_info(run, info.model_copy(update={"config": RunConfig.model_validate(settings)}))
    return run


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_finished_run_is_judged_by_its_own_limits(tmp_path: Path, no_reports: None) -> None:
    """`gate RUN` in another folder judged the run by that folder's loadtests.toml."""
    run = write_stored(tmp_path / "run", "[slo]\np99_ms = 1000\n")
    written(tmp_path / "loadtests.toml", "[slo]\np99_ms = 0.1\n")  # of another project
    code, output = run_verb("gate", run)
    assert code == 0, output
    assert re.search(r"^Limits: stored in the run: run\.toml \(SHA-256 ", output, re.MULTILINE)
    origin = verdict_in(run).limits_from
    assert origin is not None
    assert origin.stored
    assert origin.path == "run.toml"


def test_other_limits_are_those_of_a_file_that_was_named(
    tmp_path: Path, no_reports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release manager asks whether the same run would keep a stricter promise."""
    run = write_stored(tmp_path / "run", "[slo]\np99_ms = 1000\n")
    written(tmp_path / "strict.toml", "[slo]\np99_ms = 0.1\n")
    monkeypatch.setenv("LOADTESTS_CONFIG", "unused.toml")  # and is restored afterwards
    code, output = run_verb("gate", run, "--config", "strict.toml")
    assert code == 1, output
    assert "Limits: strict.toml (SHA-256 " in output
    monkeypatch.delenv("LOADTESTS_CONFIG")
    assert run_verb("gate", run)[0] == 0  # by those that it was made under, again


def test_a_run_that_stores_no_limits_is_judged_by_those_in_force(
    tmp_path: Path, no_reports: None
) -> None:
    """A run of an older version, judged for the first time."""
    run = write_gate_run(tmp_path / "run")
    written(tmp_path / "loadtests.toml", "[slo]\np99_ms = 0.1\n")
    code, output = run_verb("gate", run)
    assert code == 1
    assert "Limits: loadtests.toml (SHA-256 " in output
    written(tmp_path / "loadtests.toml", "[slo]\np99_ms = 1000\n")
    assert run_verb("gate", run)[0] == 1  # it stores them now


def test_a_comparison_uses_the_later_runs_limits(tmp_path: Path) -> None:
    """`compare A B` allowed the growth that the current folder's file names."""
    before = write_stored(tmp_path / "a")
    after = write_stored(tmp_path / "b", "[slo.relative]\np50 = 5.0\np99 = 5.0\n")
    written(tmp_path / "loadtests.toml", "[slo.relative]\np50 = 0.0001\np99 = 0.0001\n")
    code, output = run_verb("compare", before, after)
    assert code == 0, output
    assert "Limits: stored in the run: b.toml" in output


@pytest.mark.parametrize("flag", ["--rate=300", "--backend=dynamodb", "--users=9", "--micro=off"])
def test_a_flag_for_a_new_run_is_refused_where_a_finished_one_is_judged(
    tmp_path: Path, flag: str
) -> None:
    """`gate RUN --rate 300` ignored the rate."""
    run = write_gate_run(tmp_path / "run")
    with pytest.raises(UsageError, match=flag.partition("=")[0]):
        run_verb("gate", run, flag)


# --- limits of what was not called


@pytest.mark.parametrize(
    ("slo", "missed"),
    [
        ('[slo.patterns."session.get"]\np99_ms = 5\n', "session.get was not called"),
        (
            '[slo.backends.postgres.patterns."cart.add"]\nerror_rate = 0.5\n',
            "postgres cart.add was not called",
        ),
    ],
)
def test_a_limit_of_what_was_not_called_is_not_kept(
    tmp_path: Path, no_reports: None, slo: str, missed: str
) -> None:
    """A scenario without sessions: PASS, and no word of the limit on session.get."""
    run = write_gate_run(tmp_path / "run")
    written(tmp_path / "loadtests.toml", slo)
    assert run_verb("gate", run)[0] == 3
    verdict = verdict_in(run)
    assert missed in verdict.sentence
    assert missed in " ".join(verdict.not_judged)
    assert all(limit.status == "PASS" for limit in verdict.limits)


def test_a_backend_that_was_deselected_is_named_and_no_more(tmp_path: Path) -> None:
    """`--backend dynamodb` with a file that has limits for both."""
    info = read_info(write_gate_run(tmp_path / "run"))
    info.series = [series for series in info.series if series.backend == "dynamodb"]
    path = written(tmp_path / "loadtests.toml", "[slo.backends.postgres]\np50_ms = 5\n")
    slo = load_config(environ={}, path=path).slo
    text = ["postgres was not called, so its limits are not judged."]
    assert uncalled_limits(slo, info) == (text, [])
    info.config.load.backend = "dynamodb"
    assert uncalled_limits(slo, info) == ([], text)


def test_a_broken_limit_stays_broken_beside_one_that_is_not_judged(
    tmp_path: Path, no_reports: None
) -> None:
    """FAIL is not softened by a limit that nothing was measured for."""
    run = write_gate_run(tmp_path / "run", median_ms=SLOW_MS)
    written(tmp_path / "loadtests.toml", '[slo.patterns."session.get"]\np99_ms = 5\n')
    assert run_verb("gate", run)[0] == 1
    assert "session.get was not called" in verdict_in(run).sentence
