"""`loadtests init`: what it writes can be used as it is, and what is there stays."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

import loadtests
from loadtests.cli.init.project import SCENARIO, SCRIPT, SETTINGS, TEMPLATES, WORKFLOW
from loadtests.cli.runs.scenarios import read_scenarios
from loadtests.config import load_config, load_settings
from loadtests.errors import UsageError
from tests.cli.verbs import run_verb
from tests.test_workflows import (
    check_schema,
    check_scripts,
    check_security,
    checked,
    steps_of,
)

PATTERN: Final = "catalogue.search"
COMMENTED: Final = re.compile(r'^# (?=\[|"?[a-z][\w.]*"? = )', re.MULTILINE)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert run_verb("init")[0] == 0
    return tmp_path


def test_it_writes_four_files_and_names_the_next_command(tmp_path: Path) -> None:
    code, output = run_verb("init")
    assert code == 0
    assert files_in(tmp_path) == set(TEMPLATES)
    assert [line for line in output.splitlines() if line.startswith("Written: ")] == [
        f"Written: {name}" for name in TEMPLATES
    ]
    assert output.splitlines()[-1] == f"Next: loadtests gate --scenario {SCENARIO}"


def test_another_folder_is_made_and_entered(tmp_path: Path) -> None:
    _, output = run_verb("init", "my shop/load")
    assert files_in(tmp_path / "my shop" / "load") == set(TEMPLATES)
    assert output.endswith(f"Next: cd 'my shop/load' && loadtests gate --scenario {SCENARIO}\n")


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_is_written_where_one_of_the_files_exists(tmp_path: Path, name: str) -> None:
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("mine")
    with pytest.raises(UsageError, match=f"^Already there.*{re.escape(name)}"):
        run_verb("init")
    assert files_in(tmp_path) == {name}
    assert there.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_there_too(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).symlink_to("elsewhere.toml")
    with pytest.raises(UsageError, match=SETTINGS):
        run_verb("init")
    assert files_in(tmp_path) == {SETTINGS}


def test_nothing_is_left_of_what_cannot_be_written_to_the_end(tmp_path: Path) -> None:
    """`.github` is a file, which the last of the four meets."""
    (tmp_path / ".github").write_text("mine")
    with pytest.raises(UsageError, match=r"^Nothing was written: .*\.github"):
        run_verb("init")
    assert {path.name for path in tmp_path.iterdir()} == {".github"}


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = iter(["the first file"])

    def fail(*_: object) -> str:
        for content in contents:
            return content
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loadtests.cli.init.project._content", fail)
    with pytest.raises(UsageError, match="No space left on device"):
        run_verb("init", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_within_a_repository_is_said_to_have_no_workflows(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert "GitHub reads workflows" not in run_verb("init")[1]
    assert f"GitHub reads workflows in {tmp_path}/.github" in run_verb("init", "load")[1]


def test_another_package_of_the_name_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "loadtests").mkdir()
    (tmp_path / "loadtests" / "__init__.py").touch()
    assert f"Notice: {tmp_path}/loadtests is not imported" in run_verb("init")[1]


def test_the_scenario_can_be_run(project: Path) -> None:
    (described,) = read_scenarios([str(project / SCENARIO)])
    assert described.shares == {PATTERN: 1.0}
    assert [(need.name, need.backend) for need in described.stores] == [("books", "postgres")]


def test_the_settings_are_valid_with_and_without_what_is_commented_out(project: Path) -> None:
    path = project / SETTINGS
    config = load_config(path=path)
    assert config.load.backend == "postgres"
    assert config.slo.limits_for("postgres", PATTERN).p99_ms == config.slo.p99_ms
    text, count = COMMENTED.subn("", path.read_text())
    assert count >= 12
    path.write_text(text)
    changed = load_settings(path=path)
    assert len(changed.sources) >= 20
    assert changed.config.slo.limits_for("postgres", PATTERN).p50_ms == 3


def test_the_settings_name_every_limit(project: Path) -> None:
    text = (project / SETTINGS).read_text()
    for key in ("p50_ms", "p90_ms", "p99_ms", '"p99.9_ms"', "error_rate", "metric"):
        assert re.search(rf"^(# )?{re.escape(key)} = ", text, re.MULTILINE), key


def test_the_workflow_passes_the_checks_of_the_others(project: Path, tmp_path: Path) -> None:
    workflows = [project / WORKFLOW]
    for code, output in (
        check_schema(workflows),
        check_scripts(workflows, tmp_path),
        check_security(workflows),
        checked("shellcheck", project / SCRIPT),
    ):
        assert code == 0, output
    assert [step["run"] for step in steps_of(*workflows) if "run" in step] == [f"sh {SCRIPT}"]


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_script_ends_with_the_verdict_and_shows_the_summary(project: Path, code: int) -> None:
    program(
        project / "bin" / "loadtests",
        'echo "$@" >arguments',
        "mkdir -p results/latest && echo '# Verdict' >results/latest/summary.md",
        f"exit {code}",
    )
    summary = project / "summary"
    summary.write_text("before\n")
    done = subprocess.run(
        ["sh", project / SCRIPT],
        env={
            "PATH": f"{project / 'bin'}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(summary),
        },
        cwd="/",
        check=False,
    )
    assert done.returncode == code
    assert (project / "arguments").read_text() == f"gate --scenario {SCENARIO}\n"
    assert summary.read_text() == "before\n# Verdict\n"


def test_the_script_installs_this_version_where_it_is_missing(project: Path) -> None:
    program(
        project / "bin" / "python3",
        "mkdir -p .loadtests/bin",
        "printf '#!/bin/sh\\necho \"$@\" >installed\\n' >.loadtests/bin/python",
        "printf '#!/bin/sh\\nexit 3\\n' >.loadtests/bin/loadtests",
        "chmod +x .loadtests/bin/*",
    )
    path = f"{project / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(["sh", project / SCRIPT], env={"PATH": path}, check=False)
    assert done.returncode == 3
    requirement = f"cloudshelf-loadtests[embedded]=={loadtests.__version__}"
    assert (project / "installed").read_text().split()[-1] == requirement
