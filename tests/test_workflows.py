"""The workflows of docs/ci: by GitHub's schema, safe, and their scripts work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from loadtests.cli.init.project import SCRIPT, WORKFLOW, write_project

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / "docs" / "ci").glob("*.yml"))
PULL_REQUEST = ROOT / "docs" / "ci" / "pull-request.yml"
TOOLS = Path(sys.executable).parent
GH = """#!/bin/bash
printf '%s\\n' "$*" >> "$GH_LOG"
[ "$2" = --paginate ] || exit 0
exec jq -r "$5" "$GH_COMMENTS"
"""
MARKER = "<!-- loadtests: head against base, cart -->"


def loaded(workflow: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(workflow)
    return document


def steps_of(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in loaded(workflow)["jobs"].values():
        yield from job["steps"]


def script(name: str) -> str:
    """What a step of pull-request.yml runs."""
    (step,) = (step for step in steps_of(PULL_REQUEST) if step.get("name") == name)
    return str(step["run"])


def run(text: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does."""
    return subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def checked(tool: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of an installed tool."""
    done = subprocess.run(
        [TOOLS / tool, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def check_schema(workflows: Sequence[Path]) -> tuple[int, str]:
    return checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


def check_scripts(workflows: Sequence[Path], folder: Path) -> tuple[int, str]:
    scripts = []
    for workflow in workflows:
        for number, step in enumerate(steps_of(workflow)):
            if "run" in step:
                path = folder / f"{workflow.stem}-{number}.sh"
                path.write_text(f"#!/bin/bash -e\n{step['run']}", encoding="utf-8")
                scripts.append(path)
    return checked("shellcheck", *scripts)


def check_security(workflows: Sequence[Path]) -> tuple[int, str]:
    config = ROOT / "tests" / "zizmor.yml"
    return checked("zizmor", "--offline", "--no-progress", "--config", config, *workflows)


def test_the_workflows_pass_every_check(tmp_path: Path) -> None:
    assert {path.name for path in WORKFLOWS} == {"pre-release-gate.yml", "pull-request.yml"}
    project = tmp_path / "project"
    write_project(project)  # of `loadtests init`
    workflows = [*WORKFLOWS, project / WORKFLOW]
    for code, output in (
        check_schema(workflows),
        check_scripts(workflows, tmp_path),
        checked("shellcheck", project / SCRIPT),
        check_security(workflows),
    ):
        assert code == 0, output


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("timeout-minutes: 20", "timeout-minute: 20", "timeout-minute"),
        ('"$GITHUB_OUTPUT"', "$GITHUB_OUTPUT", "SC2086"),
        ("  pull_request:", "  pull_request_target:", "dangerous-triggers"),
        ("persist-credentials: false", "clean: true", "artipacked"),
        ("$PULL_REQUEST/comments", "${{ github.head_ref }}/comments", "template-injection"),
    ],
)
def test_the_checks_find_what_is_wrong(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    workflow = tmp_path / "pull-request.yml"
    text = PULL_REQUEST.read_text(encoding="utf-8")
    assert before in text
    workflow.write_text(text.replace(before, after), encoding="utf-8")
    if complaint.startswith("SC"):
        code, output = check_scripts([workflow], tmp_path)
    elif complaint == "timeout-minute":
        code, output = check_schema([workflow])
    else:
        code, output = check_security([workflow])
    assert code != 0
    assert complaint in output


def test_code_of_the_pull_request_runs_where_nothing_can_be_written() -> None:
    workflow = loaded(PULL_REQUEST)
    assert workflow["on"].keys() == {"pull_request"}
    assert workflow["permissions"] == {}
    jobs: Mapping[str, Any] = workflow["jobs"]
    assert jobs["compare"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    uses = [step.get("uses", "").partition("@")[0] for step in jobs["comment"]["steps"]]
    assert uses == ["actions/download-artifact", ""]
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]
    assert "secrets." not in PULL_REQUEST.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "4", ""])
def test_the_workflow_ends_with_the_exit_code(tmp_path: Path, code: str) -> None:
    done = run(script("Verdict"), tmp_path, CODE=code)
    assert done.returncode == int(code or 2)
    assert done.stdout.startswith("PASS" if code == "0" else "::error title=")


@pytest.mark.parametrize("commented", [False, True])
def test_one_comment_is_created_and_then_edited(tmp_path: Path, commented: bool) -> None:
    if shutil.which("jq") is None:
        pytest.skip("needs jq, which has the filter language of gh")
    others = [
        {"id": 1, "user": {"login": "github-actions[bot]"}, "body": "Another workflow's."},
        {"id": 2, "user": {"login": "somebody"}, "body": f"{MARKER}\n\nA quotation."},
    ]
    own = {"id": 3, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\n\n### Old"}
    comments = tmp_path / "comments.json"
    comments.write_text(json.dumps([*others, own] if commented else others), encoding="utf-8")
    (tmp_path / "comment.md").write_text(f"{MARKER}\n\n### New\n", encoding="utf-8")
    (tmp_path / "gh").write_text(GH, encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    done = run(
        script("Create or edit the comment"),
        tmp_path,
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        GH_LOG=str(tmp_path / "log"),
        GH_COMMENTS=str(comments),
        GITHUB_REPOSITORY="shop/carts",
        PULL_REQUEST="7",
    )
    assert done.returncode == 0, done.stderr
    *_, last = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    path = "comments/3" if commented else "7/comments"
    method = "PATCH" if commented else "POST"
    assert last == f"api --method {method} repos/shop/carts/issues/{path} -F body=@comment.md"


def test_base_is_what_the_pull_request_is_merged_into(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    made = run(
        f"""
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@x.test GIT_CONFIG_GLOBAL=/dev/null
        export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@x.test
        git init -q -b main {origin}; cd {origin}
        echo 1 > a; git add a; git commit -q -m 1
        git checkout -q -b change; echo 1 > b; git add b; git commit -q -m 2
        git checkout -q main; echo 2 > a; git commit -q -a -m 3
        git checkout -q --detach; git merge -q -m merge change
        git clone -q --depth 2 file://{origin} {tmp_path}/head
        """,
        tmp_path,
    )
    assert made.returncode == 0, made.stderr
    done = run(script("Check out base"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "head").glob("[ab]")) == ["a", "b"]
    assert [path.name for path in (tmp_path / "base").glob("[ab]")] == ["a"]
    assert (tmp_path / "base" / "a").read_text(encoding="utf-8") == "2\n"
