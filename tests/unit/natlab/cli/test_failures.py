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


@pytest.mark.parametrize("command", ["conformance", "rules"])
def test_an_option_that_is_none_is_named_and_not_its_value(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--report", "x"]) == Exit.USAGE
    assert "unrecognized arguments: --report" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["conformance", "rules"])
def test_a_nat_that_is_none_is_answered_with_those_there_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "cone"]) == Exit.USAGE
    assert "unknown NAT 'cone': choose from none, full-cone" in capsys.readouterr().err
