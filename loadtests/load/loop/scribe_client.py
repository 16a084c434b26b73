"""The load process's end of its scribe: never blocks the event loop, never loses a frame."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import gevent
import orjson

from loadtests.errors import LoadtestsError
from loadtests.measure.frames import pack

_PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
_SCRIBE: Final = (sys.executable, "-m", "loadtests.measure.scribe")


class ScribeClient:
    """Sends frames to a scribe and hears its lines. `on_line` gets each line's data."""

    def __init__(self, on_line: Callable[[dict[str, Any]], None]) -> None:
        self._on_line = on_line
        self._waiting: deque[memoryview] = deque()
        # one BLAS thread: the scribe must not take the cores it helps to watch
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            _SCRIBE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdin
        self._fd = self._process.stdin.fileno()
        os.set_blocking(self._fd, False)
        with contextlib.suppress(OSError):  # not Linux, or an administrator's lower limit
            fcntl.fcntl(self._fd, _F_SETPIPE_SZ, _PIPE_BYTES)
        self._reader = gevent.spawn(self._listen)
        self.lost = False

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame, now or as soon as the scribe takes it."""
        self.send_packed(pack(header, payload))

    def send_packed(self, frame: bytes) -> None:
        """Send what `frames.pack` made."""
        self._waiting.append(memoryview(frame))
        self.flush()

    def flush(self) -> None:
        """Write what waits until the pipe is full; the next flush goes on from there."""
        while self._waiting and not self.lost:
            piece = self._waiting[0]
            try:
                written = os.write(self._fd, piece)
            except BlockingIOError:
                return
            except (BrokenPipeError, OSError):
                self.lost = True
                self._waiting.clear()
                return
            if written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[written:]

    def finish(self, header: dict[str, Any], timeout_s: float = 30.0) -> None:
        """Send the last frame and wait until the scribe has written everything.

        Raises LoadtestsError when the scribe died or does not end.
        """
        self.send(header)
        with gevent.Timeout(timeout_s, False):
            while self._waiting and not self.lost:
                gevent.sleep(0.01)
                self.flush()
            self._close_input()
            self._reader.join()
            code = self._process.wait()
            if code == 0 and not self.lost:
                return
        self._close_input()
        self._process.kill()
        raise LoadtestsError(
            "The process that writes the run folder failed; its results are incomplete.",
            hint="Its message is in the output above. Is the disk full?",
        )

    def _close_input(self) -> None:
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._on_line(orjson.loads(line))
