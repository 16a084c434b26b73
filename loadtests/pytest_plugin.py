"""A run of ``pytest --benchmark``: the micro-benchmarks in ``bench/``.

It collects ``bench/bench_*.py`` instead of the tests, opens a `BenchmarkSession` when the
first benchmark needs it, and hands each benchmark's rounds to pytest-benchmark, whose own options
go on working. `cloudshelf_loadtests/pytest_plugin.py` has the flags and imports this module where
they are given. docs/decisions/micro-benchmarks.md has the reasons.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from loadtests.errors import (
    EXIT_ERROR,
    EXIT_PASS,
    LoadtestsError,
    exit_code_of,
    format_error,
)
from loadtests.interpreter import find_this_package_first, other_package, other_package_notice
from loadtests.microbench.replay import Replay

if TYPE_CHECKING:
    from loadtests.cli.screen.benchmarks import BenchmarkScreen
    from loadtests.microbench.suites.cases import Spec

FOLDER: Final = "bench"
FILES: Final = "bench_*.py"
JSON_NAME: Final = "benchmark.json"

_replay = pytest.StashKey[Replay]()


def prepare_run(
    config: pytest.Config, *, quick: bool, judged: bool, once: bool, own_flags: Sequence[str]
) -> BenchmarkRun:
    """The hooks of a run with --benchmark, which looks into bench/ when nothing else was named.

    `own_flags` are those that are not pytest-benchmark's. Raises pytest.UsageError where nothing
    could be measured.
    """
    for plugin, name in (("benchmark", "pytest-benchmark"), ("terminal", "the terminal")):
        if not config.pluginmanager.hasplugin(plugin):
            raise pytest.UsageError(f"--benchmark needs {name}, which is switched off.")
    if config.getoption("benchmark_disable"):
        raise pytest.UsageError(
            "--benchmark-disable measures nothing, and --benchmark is there to measure. "
            "Use --benchmark --benchmark-once to call each benchmark once."
        )
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        folder = config.rootpath / FOLDER
        if not folder.is_dir():
            raise pytest.UsageError(
                f"There are no benchmarks: {folder} does not exist. Run pytest --benchmark in the "
                "project's own folder, or name the files."
            )
        config.args = [str(folder)]
    if once:
        config.option.benchmark_disable = True  # read later, by pytest-benchmark
    find_this_package_first()
    return BenchmarkRun(config, quick=quick, judged=judged, once=once, own_flags=own_flags)


class BenchmarkRun:
    """The hooks of a run with --benchmark."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        quick: bool,
        judged: bool,
        once: bool,
        own_flags: Sequence[str],
    ) -> None:
        self._config = config
        self._quick = quick
        self._judged = judged
        self._once = once
        self._own_flags = own_flags
        self._screen: BenchmarkScreen | None = None
        self._specs: list[Spec] = []
        self._interrupted = False

    # --- before anything is collected

    def pytest_report_header(self) -> str | None:
        """Say which package `loadtests` the benchmarks import, where there are two."""
        other = other_package()
        return f"loadtests: {other_package_notice(other)}" if other else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Refuse what would measure nothing and look like success."""
        if self._config.getoption("dist", "no") != "no" or hasattr(self._config, "workerinput"):
            raise pytest.UsageError(
                "--benchmark measures one call at a time, and xdist runs several at once. "
                "Use -n 0, or leave -n and --dist out."
            )
        if self._pytest_benchmark.skip:
            raise pytest.UsageError("--benchmark-skip skips all that --benchmark is to run.")
        if self._pytest_benchmark.disabled and not self._once:
            raise pytest.UsageError(
                "pytest-benchmark has disabled all benchmarks (it does so where "
                "PYTEST_XDIST_WORKER is set), so nothing would be measured."
            )

    # --- collection

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Collect bench files, which pytest's own patterns leave out."""
        if not file_path.match(FILES) or parent.session.isinitpath(file_path):
            return None  # not ours, or named by the user, and then pytest takes it
        module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
        return module

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Give every benchmark its group and timer, and all the time it takes.

        Those of a backend that is not selected ([load] backend) are deselected.
        """
        from loadtests.config import load_config

        with _as_exit():
            backend = load_config().load.backend
        left_out = [
            item
            for item in items
            if (spec := _spec_of(item)) and backend not in {"both", spec.backend}
        ]
        if left_out:
            items[:] = [item for item in items if item not in left_out]
            self._config.hook.pytest_deselected(items=left_out)
        for item in items:
            spec = _spec_of(item)
            if spec is not None:
                item.stash[_replay] = Replay()
                item.add_marker(pytest.mark.benchmark(group=spec.group, timer=item.stash[_replay]))
            if self._config.pluginmanager.hasplugin("timeout"):
                item.add_marker(pytest.mark.timeout(0))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what -k and the like have left."""
        self._specs = [spec for item in session.items if (spec := _spec_of(item)) is not None]
        if not self._specs or self._config.getoption("collectonly"):
            return
        from loadtests.cli.screen.benchmarks import BenchmarkScreen

        with _as_exit():
            self._screen = BenchmarkScreen(
                self._specs,
                quick=self._quick,
                once=self._once,
                at_least=self._config.getoption("benchmark_min_rounds"),
                judged=self._judged,
                capture=self._config.pluginmanager.getplugin("capturemanager"),
            )

    # --- running

    def report(self, spec: Spec, benchmark: Any, item: pytest.Item) -> None:
        """Give pytest-benchmark the rounds of `spec`; fails when a call of it did."""
        replay = item.stash[_replay]
        screen = self._screen
        assert screen is not None
        with _as_exit():
            screen.open()
        try:
            case = screen.measure(spec)
        except LoadtestsError as error:
            pytest.fail(format_error(error), pytrace=False)
        replay.rounds_ns = list(reversed(case.columns.service))
        benchmark.extra_info.update(case.row.model_dump(mode="json"))
        if case.row.iterations:
            # once all times are given, only a profiler calls again
            benchmark.pedantic(
                lambda: None if replay.rounds_ns else screen.call_once(spec),
                rounds=case.row.iterations,
            )
        if case.row.errors:
            named = ", ".join(f"{name} {count:,}" for name, count in case.row.errors.items())
            pytest.fail(f"{spec}: calls failed: {named}", pytrace=False)

    def pytest_keyboard_interrupt(self) -> None:
        """Remember that the run was cut short."""
        self._interrupted = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Close run folder and databases, before pytest-benchmark writes its JSON beside.

        A run that was to measure and did not is no success, whatever has kept it from measuring.
        """
        screen = self._screen
        if screen is not None and not screen.has_measured and session.exitstatus == EXIT_PASS:
            session.exitstatus = EXIT_ERROR
        if screen is not None:
            for other in self._pytest_benchmark.benchmarks:
                if "suite" not in other.extra_info and other.stats.data:
                    screen.add_other(
                        other.group or "others",
                        other.name,
                        other.stats.data,
                        other.extra_info.get("limit_ms"),
                    )
            with _as_exit():
                screen.finish("interrupted" if self._interrupted else "complete")
            if screen.path is not None and not self._pytest_benchmark.json:
                self._pytest_benchmark.json = screen.path / JSON_NAME
            self._pytest_benchmark.quiet = (
                self._pytest_benchmark.quiet or not self._asks_pytest_benchmark()
            )
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Results travel: leave the machine's name out."""
        machine_info.pop("node", None)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        """Judge, write the reports, show the tables; also where --benchmark-compare-fail struck."""
        from pytest_benchmark.session import PerformanceRegression

        try:
            shown = yield
        except PerformanceRegression as error:
            self._conclude(terminalreporter)
            pytest.exit(str(error), returncode=pytest.ExitCode.TESTS_FAILED)
        self._conclude(terminalreporter)
        return shown

    def _conclude(self, terminalreporter: pytest.TerminalReporter) -> None:
        screen = self._screen
        if screen is None:
            if not self._config.getoption("collectonly"):
                terminalreporter.write_line("No access pattern was selected: nothing is judged.")
            return
        written = self._config.getoption("benchmark_json")
        if written and screen.path is not None and Path(written).exists():
            shutil.copyfile(written, screen.path / JSON_NAME)
        terminalreporter.ensure_newline()
        terminalreporter.flush()
        with _as_exit():
            screen.show(details=self._config.get_verbosity() >= 0)

    @property
    def _pytest_benchmark(self) -> Any:
        """pytest-benchmark's session; it is configured last."""
        return self._config._benchmarksession  # type: ignore[attr-defined]

    def _asks_pytest_benchmark(self) -> bool:
        """Whether an option of pytest-benchmark was given; then its own table is wanted too."""
        added = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
        arguments = (*self._config.invocation_params.args, *added)
        return any(
            str(argument).startswith("--benchmark-") and argument not in self._own_flags
            for argument in arguments
        )


@contextmanager
def _as_exit() -> Iterator[None]:
    """End the run on any error: a sentence, a hint and exit code 2, not pytest's 3."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (a crash must not look like a verdict)
        pytest.exit(format_error(error), returncode=exit_code_of(error))


def _spec_of(item: pytest.Item) -> Spec | None:
    callspec = getattr(item, "callspec", None)
    spec: Spec | None = callspec.params.get("spec") if callspec is not None else None
    return spec
