"""The report in a real browser: filters, replay, keyboard, phone, dark and light, screen readers, no script."""

# ruff: noqa: PLC0415 - all workers read this file, and only one uses what drives the browser

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from natlab.behavior import NINE
from natlab.evidence.category import Category
from natlab.evidence.result import Report
from natlab.evidence.way import Kind
from natlab.matrix.matrix import Plan, run_matrix
from natlab.oracle.outcome import Outcome
from natlab.presets import PRESETS
from natlab.report.html import write_html
from tests.unit.natlab.cells import BROKEN, WRONG_CHECK, cell

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        Error,
        Locator,
        Page,
        Request,
        ViewportSize,
    )
    from playwright.sync_api._generated import LocatorAssertions

pytestmark = pytest.mark.timeout(120)
PAIR = ("port-restricted-cone", "linux-masquerade")
ID = "--".join(PAIR)
PHONE: ViewportSize = {"width": 390, "height": 800}
DESK: ViewportSize = {"width": 1400, "height": 900}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose second round connects."""
    directory = tmp_path_factory.mktemp("browser") / "report"
    report = run_matrix(Plan([PAIR], 1, directory), lambda _: None)
    assert report.ok, report.cells
    return directory / "index.html"


def with_every_end(names: list[str], path: Path, asked: int | None = None) -> Path:
    """Write a report of each with each, five pairs relayed, one without a path, two not as they should be.

    Or only of the first pairs that are `asked`, and of all those.
    """
    cells = {pair: cell(*pair) for pair in islice(product(names, repeat=2), asked)}
    closed = cell(
        observed=Outcome.FAILED,
        predicted=Outcome.FAILED,
        round=None,
        connect_ms=None,
        category=Category.FORBIDDEN,
        cause="both map by port",
    )
    for a in names[:6]:
        way = Kind.NONE if a == names[5] else Kind.RELAYED
        cells[a, a] = replace(closed, nat_a=a, nat_b=a, path=way)
    cells["none", "full-cone"] = WRONG_CHECK
    cells["symmetric", "none"] = BROKEN
    write_html(Report({"nat_traversal": "of a test"}, tuple(cells.values())), path)
    return path


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 15 columns."""
    return with_every_end([*NINE, *PRESETS], tmp_path_factory.mktemp("browser") / "wide.html", 75)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 6 x 6 pairs."""
    return with_every_end([*PRESETS], tmp_path_factory.mktemp("browser") / "small.html")


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report as wide, of a pair with each end and others that were not asked: axe looks at all that is hidden too."""
    return with_every_end([*PRESETS], tmp_path_factory.mktemp("browser") / "sparse.html", 3)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root may not use Chromium's own sandbox; the pages are this project's files.
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """The one page of all tests here: each further one would be a further process, which takes long to start."""
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        yield tab


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """A page that fails the test if its script fails or if it asks for anything but one file."""
    tab.goto("about:blank")
    tab.set_viewport_size(DESK)
    tab.emulate_media(color_scheme="null", reduced_motion="null")
    faults: list[str] = []

    def failed(error: Error) -> None:
        faults.append(str(error))

    def asked(request: Request) -> None:
        faults.append(request.url)

    tab.on("pageerror", failed)
    tab.on("request", asked)
    yield tab
    tab.remove_listener("pageerror", failed)
    tab.remove_listener("request", asked)
    assert [fault for fault in faults if not fault.startswith("file:")] == []


def expect(part: Locator) -> LocatorAssertions:
    from playwright import sync_api

    return sync_api.expect(part)


def shown(page: Page) -> list[str]:
    """The ids of the cells that no filter dims."""
    dims = (
        "cells => cells.filter(c => getComputedStyle(c).opacity === '1').map(c => c.dataset.cell)"
    )
    ids: list[str] = page.locator("td.cell").evaluate_all(dims)
    return ids


def choose(page: Page, label: str) -> None:
    """Check a filter. In the whole page the browser would look for what labels each of its many elements."""
    page.locator(".filters").get_by_label(label, exact=True).check()


def replay(page: Page) -> Locator:
    return page.locator(f'[id="{ID}"] .replay')


def test_filters_show_the_cells_that_match_and_next_leads_through_them(
    page: Page, wide: Path
) -> None:
    page.goto(wide.as_uri())
    assert len(shown(page)) == 75 + 3
    choose(page, "relayed")
    relayed = shown(page)
    assert [each.split("--")[0] for each in relayed] == [
        "EIM+EIF", "EIM+ADF", "EIM+APDF", "ADM+EIF", "ADM+ADF",
    ]  # fmt: skip
    choose(page, "no path")
    assert len(shown(page)) == 1
    choose(page, "not as it should be")
    assert sorted(shown(page)) == ["none--full-cone", "symmetric--none"]
    page.locator('td[data-cell="none--full-cone"] a').click()
    expect(page.locator('[id="none--full-cone"]')).to_be_visible()
    page.locator('[id="none--full-cone"] .next').click()
    expect(page.locator('[id="symmetric--none"]')).to_be_visible()
    assert "outcome=not%20as%20it%20should%20be" in page.url


def test_keyboard_alone_chooses_a_filter_and_opens_a_cell(page: Page, small: Path) -> None:
    page.goto(small.as_uri())
    page.locator("#any-outcome").focus()
    page.keyboard.press("ArrowRight")
    assert len(shown(page)) == 36 - 5 - 1 - 1  # round 1; relayed, no path, broken
    page.locator("td.cell a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("section.cell.open")).to_have_count(1)


def test_replay_walks_by_keyboard_and_its_moment_can_be_shared(page: Page, real: Path) -> None:
    page.goto(f"{real.as_uri()}#{ID}")
    slider, sentence = replay(page).get_by_label("Moment"), replay(page).locator(".sentence")
    last = int(slider.get_attribute("max") or 0)
    assert last > 20
    first = sentence.inner_text()
    slider.focus()
    tables = set()
    for _ in range(last):
        page.keyboard.press("ArrowRight")
        tables.add(replay(page).locator("tbody").first.inner_text())
    assert sentence.inner_text() != first
    assert len(tables) > 3, tables  # mappings and filters grow while packets pass
    moment = re.search(r"@([0-9.]+)$", page.url)
    assert moment is not None, page.url
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    place, words = page.url, sentence.inner_text()
    other = page.context.new_page()
    other.goto(place)
    expect(replay(other)).to_be_in_viewport()
    assert replay(other).locator(".sentence").inner_text() == words
    other.close()


def test_replay_moves_nothing_for_those_who_ask_for_less_motion(page: Page, real: Path) -> None:
    page.goto(f"{real.as_uri()}#{ID}")
    dot = replay(page).locator(".dot")
    moving = "dot => getComputedStyle(dot).transitionDuration"
    assert dot.evaluate(moving) == "0.7s"
    page.emulate_media(reduced_motion="reduce")
    assert dot.evaluate(moving) == "0s"


_OF_COLOURS = ["color-contrast", "link-in-text-block"]


@pytest.mark.parametrize(
    ("scheme", "rules"),
    [("light", {}), ("dark", {"runOnly": _OF_COLOURS})],  # which alone are others there
    ids=["light", "dark"],
)
def test_axe_finds_nothing_for_eyes_and_screen_readers(
    page: Page,
    real: Path,
    sparse: Path,
    scheme: Literal["light", "dark"],
    rules: dict[str, list[str]],
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    for size, place in ((PHONE, sparse.as_uri()), (DESK, f"{real.as_uri()}#{ID}")):
        page.set_viewport_size(size)
        page.goto(place)
        found = Axe().run(page, options={"resultTypes": ["violations"], **rules})
        assert found.violations_count == 0, found.generate_report()


def test_phone_shows_the_answer_first_and_keeps_the_row_heads_in_sight(
    page: Page, wide: Path
) -> None:
    page.set_viewport_size(PHONE)
    page.goto(wide.as_uri())
    expect(page.locator(".sum")).to_be_in_viewport()
    expect(page.locator("td.cell").first).to_be_in_viewport()
    size = "() => [document.documentElement.scrollWidth, innerWidth]"
    width, window = page.evaluate(size)
    assert width <= window, "the page itself scrolls sideways"
    page.locator(".grid").evaluate("grid => grid.scrollLeft = 2000")
    head = page.locator("tbody th").first.bounding_box()
    assert head is not None
    assert 0 <= head["x"] < 30
    smallest = "cells => Math.min(...cells.map(a => Math.min(a.clientWidth, a.clientHeight)))"
    assert page.locator("td.cell a").evaluate_all(smallest) >= 44  # WCAG 2.5.5: a finger's width


def test_without_script_a_link_opens_the_cell_and_the_steps_are_a_list(
    browser: Browser, real: Path
) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(real.as_uri())
    expect(page.locator(f'[id="{ID}"]')).to_be_hidden()
    page.locator(f'td[data-cell="{ID}"] a').click()
    expect(page.locator(f'[id="{ID}"]')).to_be_visible()
    expect(replay(page)).to_be_hidden()
    page.get_by_text("The steps as a list").click()
    expect(page.locator("ol.steps li").last).to_be_visible()
    page.close()
