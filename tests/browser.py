"""A real browser without a window."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")


@contextmanager
def open_browser(width: int = 1900, height: int = 1000) -> Iterator[Any]:
    """A browser whose console and requests can be read; closed at the end."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"window-size={width},{height}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def requested(browser: Any) -> list[str]:
    """Addresses that the browser asked for since it was asked last."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]


def screenshots(folder: Path) -> Path:
    """Where pictures are kept: the folder that AIO_TUNE_SCREENSHOTS names, else this one."""
    kept = Path(os.environ.get("AIO_TUNE_SCREENSHOTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    return kept
