"""What a run needs of its machine and of its limits, checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from loadtests.config import Config, Slo
from loadtests.errors import ConfigError
from loadtests.host_limits import require_open_files
from loadtests.load.locust.options import default_users
from loadtests.load.subjects import run_subjects
from loadtests.measure.run_folder import require_results_folder
from loadtests.targets.embedded.storage import temporary_folder

FILES_PER_USER: Final = 2  # a connection for carts, and one for sessions
# libraries, pipes, timers; also what the embedded databases open beside their connections
FILES_BESIDE_USERS: Final = 100
_CLASSES: Final = 2  # of the gate's own scenarios
MISSPELT: Final = 0.85  # similarity (difflib) of a name and its misspelling


def check_before_start(config: Config, users: int | None) -> None:
    """Refuse folders that cannot be written to, and too few open files.

    `users` is None where the harness chooses their number. Raises LoadtestsError.
    """
    temporary_folder()
    require_results_folder(Path(config.results).absolute())
    users = users or default_users(config, _CLASSES * len(run_subjects(config)))
    require_open_files(
        FILES_PER_USER * users + FILES_BESIDE_USERS, f"{users:,} users and their databases"
    )


def check_limit_names(slo: Slo, patterns: Sequence[str]) -> None:
    """Refuse limits of a misspelt access pattern: one that no scenario calls, much like one called.

    `patterns` are those that are called. A name that has limits of its own is not meant. Raises
    ConfigError.
    """
    limited = {*slo.patterns, *(name for each in slo.backends.values() for name in each.patterns)}
    without_limits = [name for name in patterns if name not in limited]
    problems = [
        f'slo.patterns."{name}": no scenario of this run calls it; did you mean "{meant[0]}"?'
        for name in sorted(limited.difference(patterns))
        if (meant := get_close_matches(name, without_limits, 1, MISSPELT))
    ]
    if problems:
        raise ConfigError("The configuration", problems)
