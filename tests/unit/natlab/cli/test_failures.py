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


@pytest.mark.parametrize(
    "words",
    [
        *(("bench", f"--pairs={number}") for number in ("0", "-1", "٣", "1_0", "", "9" * 5000)),
        *(("shell", f"--lab={number}") for number in ("0", "-1", "٣", "1_0", "", "9" * 5000)),
        *(("matrix", f"{name}=1000001") for name in ("--jobs", "--repeat")),
    ],
)
def test_a_number_that_counts_nothing_is_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == Exit.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "must be a whole number from 1 to 1000000" in line or "is no process" in line


def test_a_file_s_name_gives_a_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--program", "\x1b[31m\x9b"]) == Exit.USAGE
    assert "cannot read the program file \\x1b[31m\\x9b" in capsys.readouterr().err
