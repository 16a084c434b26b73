"""What this process may use of its machine: CPUs, memory and open files.

A container or `taskset` allows less than the machine has. Limits of control groups are read from
their files, version 1 and 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html); the limit of a
group also applies to all groups below it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import psutil

from loadtests.errors import LoadtestsError

_OWN_GROUPS: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The control groups of this process; a test gives folders of its own."""

    own: Path = _OWN_GROUPS
    mount: Path = _MOUNT

    def folders(self, controller: str) -> Iterator[Path]:
        """The folders with the limits of a controller (`cpu`, `memory`), innermost first.

        Inside a container, the group's path may be the host's, while its folder is the mount.
        """
        with suppress(OSError, ValueError):
            for line in self.own.read_text(encoding="utf-8").splitlines():
                _, controllers, path = line.split(":", 2)
                if controllers and controller not in controllers.split(","):
                    continue
                for root in self._roots(controllers, controller):
                    inner = PurePosixPath(path.lstrip("/"))
                    yield from (root / folder for folder in (inner, *inner.parents))

    def _roots(self, controllers: str, controller: str) -> Iterator[Path]:
        if controllers:  # version 1: one tree per controller
            yield from (self.mount / controllers, self.mount / controller)
        else:
            yield from (self.mount, self.mount / "unified")

    def smallest(self, controller: str, limit_of: Callable[[Path], float | None]) -> float | None:
        """The smallest limit of all groups; None where there is none."""
        limits = [limit for path in self.folders(controller) if (limit := limit_of(path))]
        return min(limits, default=None)


def usable_cpus(groups: ControlGroups | None = None) -> float:
    """CPUs that this process may use: of its affinity, and of its groups' quota (0.5: half)."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    quota = (groups or ControlGroups()).smallest("cpu", _cpu_quota)
    return round(min(allowed, quota), 2) if quota else float(allowed)


def memory_bytes(groups: ControlGroups | None = None) -> int:
    """Memory of the machine, or the limit of the groups where that is less."""
    limit = (groups or ControlGroups()).smallest("memory", _memory_limit)
    total = int(psutil.virtual_memory().total)
    return min(total, int(limit)) if limit else total


def available_memory_bytes(groups: ControlGroups | None = None) -> int:
    """Memory that is available to this process; files in memory count as used."""
    free = (groups or ControlGroups()).smallest("memory", _memory_free)
    available = int(psutil.virtual_memory().available)
    return available if free is None else min(available, int(free))


def require_open_files(needed: int, what: str) -> None:
    """Raise the soft limit on open files to `needed` or more; children inherit it.

    Raises LoadtestsError if the hard limit is lower; `what` says what needs the files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, soft), hard))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        raise LoadtestsError(
            f"{what} need {needed:,} open files, and the system's limit for a process is "
            f"{max(soft, hard):,}.",
            hint=f"Raise the limit (`ulimit -n {needed}`, in a container --ulimit nofile={needed}),"
            " or use fewer users (--users).",
        )


def _cpu_quota(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota_us = _number(folder / "cpu.cfs_quota_us")
        return quota_us / _number(folder / "cpu.cfs_period_us") if quota_us > 0 else None
    return None


def _memory_limit(folder: Path) -> float | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max": no limit
            limit = _number(folder / name)
            return limit if limit < 1 << 60 else None
    return None


def _memory_free(folder: Path) -> float | None:
    limit = _memory_limit(folder)
    if limit is None:
        return None
    for name in ("memory.current", "memory.usage_in_bytes"):
        with suppress(OSError, ValueError):
            used = _number(folder / name) - _reclaimable(folder)
            return max(1.0, limit - used)
    return limit


def _reclaimable(folder: Path) -> int:
    """The page cache, which the kernel gives back when memory is needed."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            name, value = line.split()
            if name in {"inactive_file", "total_inactive_file"}:
                return int(value)
    return 0


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
