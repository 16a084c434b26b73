"""The load process's end of its scribe: never blocks the event loop, never loses a frame."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections import deque
from collections.abc import Callable
from typing import IO, Final

import gevent

from loadtests.errors import LoadtestsError
from loadtests.interpreter import module_command
from loadtests.measure.messages import Frame, RunEnd, RunEnded, pack, parse_line

_PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
SCRIBE_LOST: Final = "lost"
_SCRIBE: Final = module_command("loadtests.measure.scribe")


class ScribeClient:
    """Starts a scribe, sends it frames and reads its lines.

    `on_line` gets each line's kind and its content, still encoded as JSON; `SCRIBE_LOST` when the
    scribe ends before it was asked to.
    """

    def __init__(self, on_line: Callable[[str, bytes], None]) -> None:
        self._on_line = on_line
        self._waiting: deque[memoryview] = deque()
        # one BLAS thread: the scribe must not take the cores that it helps to watch
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            _SCRIBE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._input, output = self._process.stdin, self._process.stdout
        if self._input is None or output is None:
            raise RuntimeError("The scribe was started without pipes.")
        self._fd = self._input.fileno()
        os.set_blocking(self._fd, False)
        with contextlib.suppress(OSError):  # not Linux, or an administrator's lower limit
            fcntl.fcntl(self._fd, _F_SETPIPE_SZ, _PIPE_BYTES)
        self._ending = False
        self._reader = gevent.spawn(self._read_lines, output)
        self.lost = False

    def send(self, frame: Frame, payload: bytes = b"") -> None:
        """Send a frame, now or as soon as the pipe has room."""
        self.send_packed(pack(frame, payload))

    def send_packed(self, packed: bytes) -> None:
        """Send what `messages.pack` returned."""
        self._waiting.append(memoryview(packed))
        self.flush()

    def flush(self) -> None:
        """Write what waits until the pipe is full; the next flush continues."""
        while self._waiting and not self.lost:
            piece = self._waiting[0]
            try:
                written = os.write(self._fd, piece)
            except BlockingIOError:
                return
            except OSError:
                self.lost = True
                self._waiting.clear()
                return
            if written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[written:]

    def finish(self, state: RunEnd, timeout_s: float = 30.0) -> None:
        """Send the last frame and wait until the scribe has written everything.

        Raises LoadtestsError when the scribe has died or does not end in time.
        """
        self._ending = True
        self.send(RunEnded(state))
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
        if self._input and not self._input.closed:
            with contextlib.suppress(OSError):
                self._input.close()

    def _read_lines(self, output: IO[bytes]) -> None:
        for text in output:
            self._on_line(*parse_line(text))
        if not self._ending:
            self._on_line(SCRIBE_LOST, b"")
