"""The pictures are those of their script, are shown, and say what is in them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from scripts.pictures import FOLDER, PICTURES
from tests import ROOT

PAGES = ("README.md", "docs/nat-types.md")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_as_its_script_draws_it(name: str) -> None:
    drawn = PICTURES[name]().svg()
    assert (ROOT / FOLDER / name).read_text(encoding="utf-8") == drawn, (
        "draw it anew: python -m scripts.pictures"
    )
    root = ElementTree.fromstring(drawn)
    assert (root[0].tag, bool(root[0].text)) == ("{http://www.w3.org/2000/svg}title", True)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_shown_with_words_for_those_who_cannot_see_it(name: str) -> None:
    shown = [
        line
        for page in PAGES
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
        if f"pictures/{name})" in line
    ]
    (line,) = shown
    assert len(line.partition("](")[0].split()) > 8
