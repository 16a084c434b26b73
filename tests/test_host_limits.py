"""What a container or `taskset` allows is what counts, not what the machine has."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psutil
import pytest

from loadtests.errors import LoadtestsError
from loadtests.host_limits import (
    ControlGroups,
    available_memory_bytes,
    memory_bytes,
    require_open_files,
    usable_cpus,
)

MIB = 1 << 20


def groups(folder: Path, own: str, files: dict[str, str]) -> ControlGroups:
    (folder / "own").write_text(own)
    for name, content in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return ControlGroups(folder / "own", folder / "mount")


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n"}),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}),
        ("0::/of/the/host\n", {"cpu.max": "50000 100000\n"}),
        ("1:name=systemd:/\n0::/x\n", {"unified/x/cpu.max": "50000 100000\n"}),
        (
            "3:cpu,cpuacct:/docker/1f\n2:memory:/\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
        ),
        ("1:cpu:/g\n", {"cpu/g/cpu.cfs_quota_us": "50000", "cpu/g/cpu.cfs_period_us": "100000"}),
    ],
)
def test_half_a_cpu_is_half_a_cpu(tmp_path: Path, own: str, files: dict[str, str]) -> None:
    assert usable_cpus(groups(tmp_path, own, files)) == 0.5


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {}),
        ("0::/\n", {"cpu.max": "max 100000\n"}),
        ("0::/\n", {"cpu.max": "nonsense\n"}),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}),
        ("garbage\n", {}),
        ("0::/\n", {"cpu.max": "99999999 100000\n"}),  # more than the machine has
    ],
)
def test_without_a_quota_the_affinity_counts(
    tmp_path: Path, own: str, files: dict[str, str]
) -> None:
    assert usable_cpus(groups(tmp_path, own, files)) == len(os.sched_getaffinity(0))


def test_taskset_counts() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cpus() <= 1.0
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("own", "files"),
    [
        (
            "0::/\n",
            {
                "memory.max": str(512 * MIB),
                "memory.current": str(300 * MIB),
                "memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
            },
        ),
        (
            "4:memory:/x\n",
            {
                "memory/x/memory.limit_in_bytes": str(512 * MIB),
                "memory/x/memory.usage_in_bytes": str(200 * MIB),
            },
        ),
    ],
)
def test_memory_is_what_the_container_may_use(
    tmp_path: Path, own: str, files: dict[str, str]
) -> None:
    limited = groups(tmp_path, own, files)
    assert memory_bytes(limited) == 512 * MIB
    assert available_memory_bytes(limited) == 312 * MIB


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    files = {"memory.max": "max\n", "memory/memory.limit_in_bytes": "9223372036854771712"}
    assert memory_bytes(groups(tmp_path, "4:memory:/\n0::/\n", files)) == (
        psutil.virtual_memory().total
    )


class Limits:
    """Limits on open files as the system has them."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def get(self, kind: int) -> tuple[int, int]:
        return self.now

    def set(self, kind: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.now[1]
        assert 0 <= limits[0] <= limits[1] or limits[1] == resource.RLIM_INFINITY
        self.now = limits


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (256, 4096, 1000),
        (1024, 1024, 1024),
        (64, resource.RLIM_INFINITY, 1000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_the_soft_limit_on_open_files_is_raised_where_that_helps(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int
) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    require_open_files(1000, "450 users and their databases")
    assert limits.now == (expected, hard)


def test_too_low_a_hard_limit_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(64, 256)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    with pytest.raises(LoadtestsError) as caught:
        require_open_files(1000, "450 users and their databases")
    assert caught.value.message == (
        "450 users and their databases need 1,000 open files, and the system's limit for a process"
        " is 256."
    )
    assert "ulimit -n 1000" in caught.value.hint
