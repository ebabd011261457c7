"""A fault of the lab's own, whatever it is: its exit status is no verdict."""

from __future__ import annotations

import pytest

from natlab.cli import doctor
from natlab.cli.main import main
from natlab.cli.status import Exit


def test_an_exception_that_nobody_foresaw_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def examine() -> None:
        raise ZeroDivisionError("of this test's making")

    monkeypatch.setattr(doctor, "examine", examine)
    assert main(["doctor"]) == Exit.UNAVAILABLE
    assert "ZeroDivisionError: of this test's making" in capsys.readouterr().err
