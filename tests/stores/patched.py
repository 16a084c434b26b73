"""Scripts that run in a process of their own, because gevent patches a process for good."""

from __future__ import annotations

import subprocess
import sys


def run(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
