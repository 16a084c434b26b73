"""Kind 13: results folders that were copied, zipped, checked out, or cannot hold links."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from loadtests.judge.history import read_history
from loadtests.measure.results import read_run
from loadtests.measure.run_folder import LATEST, point_latest, shown_path
from loadtests.report.figures.history import read_past
from tests.cli.verbs import run_verb, write_pair

OLD, NEW = "20260301T000000Z-cart-0000aa", "20260302T000000Z-cart-0000bb"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, `latest` on the newer one."""
    results = tmp_path_factory.mktemp("stored") / "results"
    for name, day in ((OLD, "01"), (NEW, "02")):
        write_pair(results / name, started_at=f"2026-03-{day}T09:30:00Z")
    return results


@pytest.fixture
def results(stored: Path, tmp_path: Path) -> Path:
    """A copy as an artifact store makes it: what `latest` led to is a folder of that name."""
    shutil.copytree(stored, tmp_path / "results", symlinks=True)
    (tmp_path / "results" / LATEST).unlink(missing_ok=True)
    shutil.copytree(tmp_path / "results" / OLD, tmp_path / "results" / LATEST)
    return tmp_path / "results"


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", fail)


def test_latest_that_is_a_folder_gives_way_and_is_kept(results: Path) -> None:
    """CI restored `results` from an artifact; `cat results/latest/summary.md` showed the verdict of
    an old run for weeks."""
    (results / LATEST / "notes.txt").write_text("mine")
    point_latest(results / NEW)
    assert (results / LATEST).is_symlink()
    assert read_run(results / LATEST).path == results / NEW
    kept = [path for path in results.iterdir() if (path / "notes.txt").exists()]
    assert len(kept) == 1
    assert kept[0].name.startswith(OLD)


def test_the_only_copy_of_a_run_gets_its_name_back(results: Path) -> None:
    """Only `latest` was downloaded."""
    shutil.rmtree(results / OLD)
    point_latest(results / NEW)
    assert read_run(results / OLD).info.id == OLD


def test_a_folder_of_the_users_own_is_kept_too(results: Path) -> None:
    """`latest` holds no run at all."""
    shutil.rmtree(results / LATEST)
    (results / LATEST).mkdir()
    (results / LATEST / "notes.txt").write_text("mine")
    point_latest(results / NEW)
    assert (results / LATEST / "run.json").exists()
    assert (results / f"{LATEST}-copy" / "notes.txt").read_text() == "mine"


def test_an_id_that_leads_elsewhere_moves_nothing_there(results: Path) -> None:
    """The run's id was `../../outside`."""
    file = results / LATEST / "run.json"
    file.write_text(file.read_text().replace(OLD, "../../outside"))
    point_latest(results / NEW)
    assert (results / LATEST).is_symlink()
    assert not (results.parent.parent / "outside").exists()
    assert (results / f"{LATEST}-copy").is_dir()


def test_where_links_cannot_be_made_a_file_points_to_the_run(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results on a Windows share: no link, no message, and `latest` stayed on the first run."""
    without_links(monkeypatch)
    for name in (OLD, NEW):
        point_latest(results / name)
        assert (results / LATEST).read_text() == f"{name}\n"
        assert read_run(results / LATEST).path == results / name
        assert shown_path(results / name / "run.json").endswith(f"{name}/run.json")
    code, output = run_verb("history", "--results", results)
    assert (code, output.splitlines()[0]) == (0, f"2 runs in {results}.")


def test_a_checkout_without_links_has_such_a_file(results: Path) -> None:
    """git with core.symlinks=false writes the link's text into a file, without a newline."""
    shutil.rmtree(results / LATEST)
    (results / LATEST).write_text(NEW)
    assert read_run(results / LATEST).info.id == NEW
    point_latest(results / OLD)
    assert read_run(results / LATEST).info.id == OLD


@pytest.mark.parametrize("text", ["", "..", "../results", "/etc", "a\nb", "x" * 5_000, "\x00"])
def test_a_file_that_points_nowhere_is_no_run(results: Path, text: str, tmp_path: Path) -> None:
    """A pointer leads to a folder beside it and nowhere else."""
    from loadtests.errors import ResultsError

    shutil.rmtree(results / LATEST)
    (results / LATEST).write_text(text)
    with pytest.raises(ResultsError, match="is not a run folder"):
        read_run(results / LATEST)


def test_a_folder_that_cannot_be_written_keeps_what_it_has(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A results folder on a read-only disk."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("symlink", "replace", "rename"):
        monkeypatch.setattr(os, name, fail)
    monkeypatch.setattr(Path, "write_text", fail)
    before = sorted(path.name for path in results.iterdir())
    point_latest(results / NEW)
    assert sorted(path.name for path in results.iterdir()) == before


def test_copies_of_a_run_count_once(results: Path) -> None:
    """`history` counted `latest`, `run-backup` and the run itself as three runs."""
    shutil.copytree(results / OLD, results / "backup-of-monday")
    runs, unreadable = read_history(results)
    assert ([info.id for info in runs], unreadable) == ([OLD, NEW], [])
    past = read_past(read_run(results / NEW), "response_time")
    assert past is not None
    assert len(past.started) == 2
