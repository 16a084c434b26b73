"""How a database process is stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from loadtests.targets.supervisor.process import DatabaseProcess


def test_a_server_that_does_not_listen_to_its_signal_is_made_to_end(tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); signal.pause()"
    )
    server = DatabaseProcess(
        [sys.executable, "-c", code],
        log=tmp_path / "log",
        folder=tmp_path,
        environ=os.environ,
        stop_signal=signal.SIGTERM,
    )
    while "up" not in server.log_text():
        assert not server.ended()
    server.stop(grace_s=0.1)
    assert server.ended()
    server.stop()
