"""A browser without a network, and the pages it is shown."""

import os
import shutil
from pathlib import Path

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        # Debian's own, or the one that `playwright install chromium` fetched
        path = shutil.which("chromium") or shutil.which("google-chrome")
        if path is None and Path(playwright.chromium.executable_path).is_file():
            path = playwright.chromium.executable_path
        if path is None:
            if os.environ.get("CI"):
                pytest.fail("no browser in CI: apt-get install chromium")
            pytest.skip("no browser: apt-get install chromium, or playwright install chromium")
        try:
            launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            pytest.skip(f"{path} does not start: {error}")
        yield launched
        launched.close()
