"""The pytest plugin: the flags of ``pytest --benchmark``, and nothing else without them.

Every pytest run loads this module where the harness is installed, also those of projects that it
has nothing to do with. So it imports nothing of the harness until `--benchmark` is given; then
`loadtests/pytest_plugin.py` takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from cloudshelf_loadtests import OtherPackageImported, import_loadtests

if TYPE_CHECKING:
    from loadtests.microbench.suites.cases import Spec

RUN_NAME: Final = "loadtests-benchmark"
OWN_FLAGS: Final = ("--benchmark-quick", "--benchmark-no-report", "--benchmark-once")
FLAGS: Final = {
    "--benchmark": (
        "loadtests_benchmark",
        "run the micro-benchmarks in bench/ instead of the tests",
    ),
    "--benchmark-quick": (
        "loadtests_quick",
        "with --benchmark: fewer rounds, for a result within a minute",
    ),
    "--benchmark-no-report": (
        "loadtests_no_report",
        "with --benchmark: write the run folder, but neither judge nor draw it",
    ),
    "--benchmark-once": (
        "loadtests_once",
        "with --benchmark: call each benchmark once; nothing is measured or judged",
    ),
}


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> None:
    """Add the flags of the micro-benchmarks, once every other plugin has added its own.

    Where one of them, or a conftest.py, has one of these flags, they are its: this plugin then
    does nothing, because a project that it has nothing to do with must not notice it.
    """
    try:
        _, free = parser.parse_known_and_unknown_args(list(FLAGS))
    except pytest.UsageError:  # somebody's flag of that name takes a value
        return
    if set(free) != set(FLAGS):
        return
    group = parser.getgroup("loadtests", "CloudShelf micro-benchmarks")
    for flag, (name, meaning) in FLAGS.items():
        group.addoption(flag, action="store_true", dest=name, help=meaning)


def pytest_configure(config: pytest.Config) -> None:
    """With --benchmark, let the harness take over."""
    if not _given(config, "--benchmark"):
        for flag in OWN_FLAGS:
            if _given(config, flag):
                raise pytest.UsageError(f"{flag} needs --benchmark.")
        return
    try:
        import_loadtests()
    except OtherPackageImported as error:
        raise pytest.UsageError(
            f"--benchmark cannot run here: {error}. Do not import it in a conftest.py or a plugin, "
            "or rename it."
        ) from None
    from loadtests.pytest_plugin import prepare_run

    run = prepare_run(
        config,
        quick=_given(config, "--benchmark-quick"),
        judged=not _given(config, "--benchmark-no-report"),
        once=_given(config, "--benchmark-once"),
        own_flags=OWN_FLAGS,
    )
    config.pluginmanager.register(run, RUN_NAME)


def _given(config: pytest.Config, flag: str) -> bool:
    return bool(config.getoption(FLAGS[flag][0], False))


@pytest.fixture
def measured(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[Spec], None]:
    """Measure a spec, alternating with the others of its suite, and pass its times on."""
    run = request.config.pluginmanager.get_plugin(RUN_NAME)
    if run is None:
        pytest.skip("a benchmark: run it with pytest --benchmark")
    return lambda spec: run.report(spec, benchmark, request.node)
