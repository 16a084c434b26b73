"""The cart scenario, with every frame that goes to the scribe also kept in a file.

The run folder holds histograms; `window_lengths.py` needs the intended start of each call. The
file's name comes in FRAMES_FILE.
"""

from __future__ import annotations

import sys
from importlib import import_module

from loadtests.load.loop import scribe_client

_COMMAND = f'tee "$FRAMES_FILE" | exec {sys.executable} -m loadtests.measure.scribe'
setattr(scribe_client, "_SCRIBE", ("sh", "-c", _COMMAND))  # noqa: B010 - a constant otherwise
# as `from scenarios.cart import *`; mypy knows that file by another name
_SCENARIO = vars(import_module("scenarios.cart"))
globals().update({name: value for name, value in _SCENARIO.items() if not name.startswith("_")})
