"""The guide for contributors names only what is there."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NO_PATHS = {".hypothesis/"}


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`([\w./-]+/[\w./-]*)`", GUIDE)) - NO_PATHS)
)
def test_what_the_guide_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
