"""The pictures of the lab's report in docs/: `python -m scripts.screenshots` runs its cells and takes them anew.

It needs what a lab and the browser's tests need: `make setup`, and the packages for development.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from natlab.behavior import NINE
from natlab.errors import LabError
from natlab.matrix.matrix import Plan, run_matrix

DOCS = Path(__file__).parents[1] / "docs"
PAIR = ("port-restricted-cone", "linux-masquerade")
"""The pair of the replay, and the step in which its second NAT gives a port that nobody expects."""
STEP = "HELLO 2 of host_b: nat_b's router itself"
DESK, PHONE = ViewportSize(width=1400, height=1012), ViewportSize(width=400, height=900)
CELL = ViewportSize(width=1200, height=1000)
CHROMIUM = "/usr/bin/chromium"


def main() -> int:
    """Run 81 cells and one more, and look at them. Returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="screenshots-") as place:
        nine, replay = Path(place, "nine"), Path(place, "replay")
        try:
            for directory, pairs in ((nine, [*product(NINE, NINE)]), (replay, [PAIR])):
                report = run_matrix(Plan(pairs, 6, directory), lambda _: None)
                if not report.ok:
                    print(f"error: a cell of {pairs} is not as predicted", file=sys.stderr)
                    return 1
        except LabError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            _shown(browser, nine, DESK).screenshot(path=DOCS / "lab-report.png")
            _shown(browser, nine, PHONE).screenshot(path=DOCS / "lab-report-phone.png")
            _step(_shown(browser, replay, CELL)).screenshot(path=DOCS / "lab-replay.png")
            browser.close()
    return 0


def _shown(browser: Browser, report: Path, size: ViewportSize) -> Page:
    page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
    page.goto((report / "index.html").as_uri())
    return page


def _step(page: Page) -> Page:
    """The page at the step that the picture is about."""
    cell = "--".join(PAIR)
    page.goto(f"{page.url}#{cell}")
    replay = page.locator(f"[id='{cell}'] .replay")
    slider, sentence = replay.get_by_label("Moment"), replay.locator(".sentence")
    slider.focus()
    for _ in range(int(slider.get_attribute("max") or 0)):
        if sentence.inner_text().startswith(STEP):
            break
        slider.press("ArrowRight")
    replay.evaluate("each => window.scrollTo(0, each.getBoundingClientRect().top + scrollY - 16)")
    return page


if __name__ == "__main__":
    sys.exit(main())
