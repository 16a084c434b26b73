"""Locust with its web UI as a process, and its pages as a user finds them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

from loadtests.load.child_environment import ENDPOINTS_VARIABLE
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json
from tests.browser import until

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocustUI(NamedTuple):
    """Locust with its web UI: address, process, and the file of its output."""

    url: str
    process: subprocess.Popen[bytes]
    log: str


@contextmanager
def locust_ui(folder: Path, *flags: str, endpoints: Endpoints | None = None) -> Iterator[LocustUI]:
    """`locust -f scenarios/cart.py` on a free port; results and log in `folder`, small data."""
    config = folder / "loadtests.toml"
    config.write_text("[data]\nusers = 200\nbooks = 60\n")
    port = free_port()
    command = [
        sys.executable, "-m", "locust", "-f", "scenarios/cart.py",
        "--web-host", "127.0.0.1", "--web-port", str(port), *flags,
    ]  # fmt: skip
    environ = {
        **os.environ,
        "LOADTESTS_RESULTS": str(folder / "results"),
        "LOADTESTS_CONFIG": str(config),
        "PYTHONPATH": str(ROOT / "scenarios"),
    }
    if endpoints:
        environ[ENDPOINTS_VARIABLE] = json.dumps(endpoints_to_json(endpoints))
    with (folder / "locust.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield LocustUI(url=f"http://127.0.0.1:{port}/", process=process, log=log.name)
        finally:
            process.terminate()
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def asked(locust: LocustUI, path: str) -> dict[str, Any]:
    """What Locust answers; nothing as long as it is not there yet."""
    assert locust.process.poll() is None, Path(locust.log).read_text()
    try:
        with urllib.request.urlopen(locust.url + path, timeout=10) as answer:
            return dict(json.load(answer))
    except OSError:
        return {}


def swarm(locust: LocustUI, **form: object) -> dict[str, Any]:
    """Start a test as Locust's form does, from a program; what Locust answers."""
    sent = urllib.parse.urlencode({"user_count": 20, "spawn_rate": 100, **form}).encode()
    with urllib.request.urlopen(locust.url + "swarm", data=sent, timeout=60) as answer:
        return dict(json.load(answer))


def press(browser: webdriver.Chrome, pattern: str) -> None:
    """Press Locust's button of that name."""

    def pressed() -> bool:
        for button in browser.find_elements(By.CSS_SELECTOR, "button"):
            try:
                if re.fullmatch(pattern, button.text, re.IGNORECASE) and button.is_enabled():
                    button.click()
                    return True
            except WebDriverException:
                return False
        return False

    until(pressed)


def figures(browser: webdriver.Chrome) -> dict[tuple[str, str], list[str]]:
    """The table's rows by access pattern and backend, read in one go."""
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#loadtests-tab table')].slice(0, 1).flatMap("
        "t => [...t.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.innerText)));"
    )
    cells_by_row = {}
    for head, *cells in rows:
        pattern, backend = head.split()
        cells_by_row[pattern, backend] = cells
    return cells_by_row
