"""What a run ran on, for the record and for refusing comparisons between unlike runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import loadtests
from loadtests.host_limits import memory_bytes, usable_cpus
from loadtests.measure.results import EnvironmentInfo, TargetInfo

_PACKAGES: Final = (
    "locust",
    "gevent",
    "boto3",
    "aioboto3",
    "psycopg",
    "asyncpg",
    "numpy",
    "orjson",
    "httptools",
)


def describe_environment(*packages: str) -> EnvironmentInfo:
    """Hardware, kernel and versions; nothing that names the machine or its user.

    `packages` are recorded in addition to those that every run depends on.
    """
    return EnvironmentInfo(
        cpu=_cpu_model(),
        cores=os.cpu_count() or 0,
        effective_cpus=usable_cpus(),
        memory_gib=round(memory_bytes() / 2**30, 1),
        system=platform.system(),
        kernel=platform.release(),
        python=platform.python_version(),
        loadtests=loadtests.__version__,
        packages={name: _version(name) for name in (*_PACKAGES, *packages)},
    )


def describe_targets(targets: Mapping[str, Mapping[str, object]]) -> dict[str, TargetInfo]:
    """Where each backend ran, from `Endpoints.described`."""
    return {backend: TargetInfo.model_validate(target) for backend, target in targets.items()}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
