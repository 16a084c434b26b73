"""A real browser for tests: Debian's Chromium, driven by Selenium, judged by axe-core."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import axe_core_python
import pytest
from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
T = TypeVar("T")
AXE = Path(axe_core_python.__file__).parent / "axe.min.js"


@contextmanager
def opened(profile: Path) -> Iterator[webdriver.Chrome]:
    """Chromium with a profile folder of its own; in CI it must be there."""
    if not (CHROMIUM and DRIVER):
        if os.environ.get("CI") == "true":
            pytest.fail("chromium and chromedriver are missing; .ci/run installs them")
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def emulate(
    browser: webdriver.Chrome,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    media: str = "",
) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def reach(browser: webdriver.Chrome) -> tuple[int, int]:
    """Width of the page's content and of the window; more content than window scrolls sideways."""
    content, window = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth];"
    )
    return content, window


def axe(browser: webdriver.Chrome, within: str = "") -> list[tuple[str, list[str]]]:
    """What axe-core finds wrong, on the page or within a selector."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    violations = browser.execute_async_script(
        "const done = arguments[arguments.length - 1], within = arguments[0] || document;"
        "axe.run(within).then(r => done(r.violations));",
        within,
    )
    return [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in violations]


def until(condition: Callable[[], T], deadline_s: float = 60.0) -> T:
    """Ask a process outside again and again, until its answer is true."""
    end = time.monotonic() + deadline_s
    while not (answer := condition()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)  # leaves the CPU to the process
    return answer
