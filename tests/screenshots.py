"""Retakes the pictures of the documentation: `python -m tests.screenshots RUN [COMPARISON]`.

`report.png` is the top of RUN's report; `live-tab.png` the live tab of a short run of its own, on
embedded databases; `comment.png` the comment of COMPARISON, a run of two subjects.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.browser import emulate, opened, until
from tests.github_markdown import page_of
from tests.live_ui import ROOT, asked, figures, locust_ui, press

IMAGES = ROOT / "docs" / "images"
WIDTH, REPORT_HEIGHT = 1200, 1320
COMMENT_WIDTH = 800


def main(run: Path, comparison: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as name, opened(Path(name, "chromium")) as browser:
        if comparison:
            take_comment(browser, comparison / "comment.md", Path(name))
        emulate(browser, width=WIDTH)
        browser.get((run / "report.html").resolve().as_uri())
        take(browser, "report.png", REPORT_HEIGHT)
        with locust_ui(Path(name), "--warm-up", "20", "--rate", "300") as locust:
            until(lambda: asked(locust, "loadtests/live.json"))
            browser.get(locust.url)
            press(browser, "start")
            press(browser, "cloudshelf")
            # every access pattern has its p99
            until(lambda: "–" not in str(figures(browser) or "–"), 180)
            height = browser.execute_script("return document.documentElement.scrollHeight;")
            take(browser, "live-tab.png", height)


def take_comment(browser: webdriver.Chrome, comment: Path, folder: Path) -> None:
    """Keep the comment as GitHub shows it, at the width that it has there."""
    page = folder / "comment.html"
    page.write_text(page_of(comment.read_text(encoding="utf-8")), encoding="utf-8")
    emulate(browser, width=COMMENT_WIDTH)
    browser.get(page.as_uri())
    browser.find_element(By.TAG_NAME, "main").screenshot(str(IMAGES / "comment.png"))


def take(browser: webdriver.Chrome, name: str, height: int) -> None:
    """Keep the page's upper part as a picture."""
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    picture = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True}
    )
    (IMAGES / name).write_bytes(base64.b64decode(picture["data"]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
