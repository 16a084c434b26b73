"""Writes one run folder as the run goes; a crash loses at most the last second."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from loadtests.errors import ResultsError
from loadtests.measure import hlog
from loadtests.measure.health.probes import HealthLog, HealthRow
from loadtests.measure.health.signals import Signal
from loadtests.measure.merger import Merged
from loadtests.measure.results import (
    HealthInfo,
    RunInfo,
    SeriesInfo,
    Validity,
    read_info,
    write_info,
)
from loadtests.measure.stalls.record import StallLog, StallRow

_LEAST_ROOM: Final = 16 << 20
LATEST: Final = "latest"  # the newest run folder; after a gate, its load run
LATEST_MICRO: Final = "latest-micro"  # the newest with micro-benchmarks


class RunFolderWriter:
    """The open files of a running run."""

    def __init__(self, path: Path, info: RunInfo, started_at_s: float) -> None:
        path.mkdir(parents=True)
        self.path = path
        self.info = info
        write_info(path, info)
        self._logs = {
            name: (path / name).open("w", encoding="ascii")
            for name in ("latency.hlog", "warm-up.hlog", "undisturbed.hlog")
        }
        for log in self._logs.values():
            log.write(hlog.header(started_at_s))
            log.flush()
        self._health_file = (path / "health.csv").open("w", encoding="utf-8", newline="")
        self._health = HealthLog(self._health_file)
        self._stalls_file = (path / "stalls.csv").open("w", encoding="utf-8", newline="")
        self._stalls = StallLog(self._stalls_file)
        point_latest(path)

    def add(
        self,
        merged: Merged,
        series: list[SeriesInfo],
        signals: list[Signal],
        validity: Validity | None,
    ) -> None:
        """Append a closed interval and bring run.json up to date, so far as is known."""
        for name, logged in (
            ("latency.hlog", merged.measured),
            ("warm-up.hlog", merged.warm_up),
            ("undisturbed.hlog", merged.undisturbed),
        ):
            if logged:
                lines = [hlog.format_line(key.tag, interval) for key, interval in logged]
                self._logs[name].write("".join(lines))
                self._logs[name].flush()
        self.info.duration_s = max(self.info.duration_s, merged.start_s + merged.length_s)
        self.info.series = series
        self.info.health = HealthInfo(signals=signals)
        self.info.validity = validity
        write_info(self.path, self.info)

    def add_health(self, row: HealthRow) -> None:
        """Append a row of health.csv."""
        self._health.write(row)

    def add_stalls(self, rows: list[StallRow]) -> None:
        """Append rows of stalls.csv."""
        if rows:
            self._stalls.write(rows)

    def update(self, facts: dict[str, Any]) -> None:
        """Replace fields of run.json."""
        written = self.info.model_dump(mode="json", by_alias=True)
        self.info = RunInfo.model_validate({**written, **facts})
        write_info(self.path, self.info)

    def finish(
        self, state: str, series: list[SeriesInfo], signals: list[Signal], validity: Validity
    ) -> None:
        """The last word: summaries, health and validity; closes the files."""
        self.update(
            {
                "state": state,
                "series": series,
                "health": HealthInfo(signals=signals),
                "validity": validity,
            }
        )
        for file in (*self._logs.values(), self._health_file, self._stalls_file):
            file.close()


def require_results_folder(results: Path) -> None:
    """Write once to the folder that run folders are written to; it is made for that if missing.

    Raises ResultsError if that is not possible, or if there is too little room. A folder that was
    made here is removed again, because the run may still be refused.
    """
    made = [folder for folder in (results, *results.parents) if not folder.exists()]
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results) as file:
            file.write(bytes(4096))
            file.flush()
        free = shutil.disk_usage(results).free
    except OSError as error:
        reason, kind = error.strerror or str(error), error.errno
    else:
        if free >= _LEAST_ROOM:
            return
        reason, kind = f"{free >> 20} MiB are free, and a run may need {_LEAST_ROOM >> 20}", 0
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
    raise ResultsError(
        f"No run can be written to {results}: {reason}.",
        hint="Free space there, or name another folder with --results."
        if kind in {0, errno.ENOSPC, errno.EDQUOT}
        else "Name a folder that you can write to with --results.",
    )


def point_latest(path: Path, name: str = LATEST) -> None:
    """Make `results/latest` point to this run, atomically.

    A file with the folder's name takes its place where links cannot be made. A real folder of that
    name (an artifact store, an archive or `docker cp` has followed the link) is a copy of an older
    run: it is kept under another name. Where nothing can be written, nothing changes.
    """
    link = path.parent / name
    fresh = path.parent / f".{name}-{os.getpid()}"
    try:
        try:
            fresh.symlink_to(path.name)
        except OSError:
            fresh.write_text(path.name + "\n", encoding="utf-8")
        if link.is_dir() and not link.is_symlink():
            link.rename(_free_name(link))
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)


def _free_name(folder: Path) -> Path:
    """Where a copy of a run goes: its own id, if no folder has it, else with a number."""
    try:
        run_id = read_info(folder).id
    except ResultsError:
        run_id = f"{folder.name}-copy"
    if Path(run_id).name != run_id:  # it came from elsewhere, and may lead elsewhere
        run_id = f"{folder.name}-copy"
    names = [run_id, *(f"{run_id}-copy-{number}" for number in range(1, 1000))]
    places = [folder.parent / each for each in names]
    return next(place for place in places if not os.path.lexists(place))


def shown_path(path: Path) -> str:
    """A file of a run folder as a terminal shows it: short where it can be.

    It goes through `latest` where that leads to the file, and is relative where it is below the
    working folder.
    """
    for link in (LATEST, LATEST_MICRO):
        short = path.parent.parent / link / path.name
        if short.exists() and short.resolve() == path.resolve():
            path = short
            break
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
