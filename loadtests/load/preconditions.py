"""What a run needs of its machine, checked before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from loadtests.config import Config
from loadtests.host_limits import require_open_files
from loadtests.load.locust.options import default_users
from loadtests.load.subjects import run_subjects
from loadtests.measure.run_folder import require_results_folder
from loadtests.targets.embedded.storage import temporary_folder

FILES_PER_USER: Final = 2  # a connection for carts, and one for sessions
# libraries, pipes, timers; also what the embedded databases open beside their connections
FILES_BESIDE_USERS: Final = 100
_CLASSES: Final = 2  # of the gate's own scenarios


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
