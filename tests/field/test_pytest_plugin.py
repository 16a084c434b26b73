"""Kind 13: the pytest plugin in other people's projects, and runs that would measure nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pytest_projects import Project

pytestmark = pytest.mark.slow  # each test is a run of pytest

OTHERS_OPTIONS = """
def pytest_addoption(parser):
    for name in ("--quick", "--no-report", "--once", "--benchmark-quick"):
        parser.addoption(name, action="store_true")
    parser.addoption("--benchmark", metavar="NAME")
"""
OTHERS_TEST = """
def test_options(pytestconfig):
    assert pytestconfig.getoption("--benchmark") == "sort"
    assert pytestconfig.getoption("--quick")
"""
SKIPPING = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.skip(reason="no network in CI"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_another_project_has_options_of_these_names(project: Project) -> None:
    """The harness was in the virtual environment of a project with a --benchmark NAME of its own:
    "argument --benchmark: conflicting option string", and no test of it ran any more."""
    (project.path / "conftest.py").write_text(OTHERS_OPTIONS)
    (project.path / "tests" / "test_made.py").write_text(OTHERS_TEST)
    assert project.pytest("--benchmark", "sort", "--quick", "--no-report") == 0, project.output
    assert "1 passed" in project.output


OWN_PACKAGE_TEST = """
import sys

from loadtests.prices import price

def test_price():
    assert price("book") == 10
    assert "loadtests.errors" not in sys.modules
"""


@pytest.fixture
def own_package(project: Project) -> Project:
    """A project with a package of its own that is called loadtests."""
    package = project.path / "loadtests"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "prices.py").write_text("def price(book):\n    return 10\n")
    (project.path / "tests" / "test_made.py").write_text(OWN_PACKAGE_TEST)
    return project


def test_a_project_has_a_package_called_loadtests(own_package: Project) -> None:
    """`python -m pytest` ended with "No module named 'loadtests.pytest_plugin'"."""
    assert own_package.pytest() == 0, own_package.output
    assert "1 passed" in own_package.output


def test_the_benchmarks_import_the_harness_all_the_same(own_package: Project) -> None:
    only = ("--benchmark", "--collect-only")
    assert own_package.pytest(*only, PYTHONPATH=str(own_package.path)) == 0, own_package.output
    assert "7 tests collected" in own_package.output
    assert f"loadtests: {own_package.path}/loadtests is not imported" in own_package.output


def test_a_conftest_has_imported_the_projects_own_package(own_package: Project) -> None:
    """Two packages of one name cannot be in one process."""
    (own_package.path / "conftest.py").write_text("import loadtests.prices\n")
    assert own_package.pytest("--benchmark") == pytest.ExitCode.USAGE_ERROR
    assert f"another package loadtests: {own_package.path}/loadtests" in own_package.output
    assert "Traceback" not in own_package.output


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["-n", "2"], {}, "-n 0"),
        (["--dist=loadfile", "--tx=2*popen"], {}, "-n 0"),
        ([], {"PYTEST_ADDOPTS": "-n2"}, "-n 0"),
        ([], {"PYTEST_XDIST_WORKER": "gw0"}, "nothing would be measured"),
        (["--benchmark-disable"], {}, "--benchmark-once"),
        (["--benchmark-skip"], {}, "skips all that"),
        (["-p", "no:terminal"], {}, "the terminal"),
    ],
)
def test_what_would_measure_nothing_is_refused(
    project: Project, arguments: list[str], environ: dict[str, str], message: str
) -> None:
    """CI had `-n auto` in its options: "18 passed", exit code 0, and nothing was measured."""
    assert project.pytest("--benchmark", *arguments, **environ) == pytest.ExitCode.USAGE_ERROR
    assert message in project.output
    assert "passed" not in project.output
    assert "Traceback" not in project.output
    assert not (project.path / "results").exists()


def test_xdist_may_be_installed_and_unused(project: Project) -> None:
    """`-n 0` is what the refusal advises."""
    only = ("--benchmark", "--benchmark-quick", "--benchmark-no-report", "-k", "cart and boto3")
    assert project.pytest(*only, "-n", "0") == 0, project.output
    assert len(project.run.info.series) == 1


def test_a_conftest_that_skips_everything_is_no_success(project: Project) -> None:
    """A conftest.py skipped what needs a network: "7 skipped", exit code 0."""
    (project.path / "conftest.py").write_text(SKIPPING)
    assert project.pytest("--benchmark") == 2, project.output
    assert "Nothing was measured, so nothing is judged." in project.output
    assert not (project.path / "results").exists()


def test_a_selection_without_access_patterns_says_that_nothing_is_judged(project: Project) -> None:
    """`-k own` chose a benchmark of the harness alone; "1 passed" looked like a verdict."""
    assert project.pytest("--benchmark", "-k", "own") == 0, project.output
    assert "nothing is judged" in project.output


def test_a_selection_of_nothing_is_no_success(project: Project) -> None:
    """A misspelt -k."""
    assert project.pytest("--benchmark", "-k", "crat") == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_folder_without_benchmarks(project: Project, tmp_path: Path) -> None:
    """pytest was started in another project's folder."""
    project.bench.unlink()
    project.bench.parent.rmdir()
    assert project.pytest("--benchmark") == pytest.ExitCode.USAGE_ERROR
    assert f"{tmp_path / 'bench'} does not exist" in project.output
