"""The plugin of this checkout in a pytest run of its own."""

from __future__ import annotations

import pytest

from tests import ROOT


@pytest.fixture
def this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
