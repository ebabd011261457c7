"""What the lab prints of programs' lines as they come."""

from __future__ import annotations

import io
import sys

import pytest

from natlab.programs.program import Line
from natlab.testbed.worker import _teller

LINE = "\x1b]0;title\x07\x1b[2J\ta column, \u202eé\ud800\r"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stdout", out)
    _teller("host_a")(Line(0.0, "stdout", LINE))
    return out.getvalue()


def test_a_program_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(Terminal(), monkeypatch) == (
        "host_a | \\x1b]0;title\\x07\\x1b[2J\ta column, \\u202eé\\ud800\\r\n"
    )


def test_where_no_terminal_reads_them_its_lines_are_as_it_wrote_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert printed(io.StringIO(newline=""), monkeypatch) == f"host_a | {LINE}\n"
