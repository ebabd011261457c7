"""`invite --qr`: a code in the terminal, and one line wherever there can be none."""

from __future__ import annotations

import io
import sys
import tomllib

import pytest

from nat_traversal.cli import qr
from nat_traversal.errors import UsageError
from tests import ROOT

LINE = (
    "nat-traversal://server.example:6545/host?peer=guest&key=" + "A" * 44 + "&until=1#" + "B" * 43
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In the place of stdout, from now on: pytest sets its own before each phase of a test."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


def test_the_code_fits_a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    pytest.importorskip("segno")
    monkeypatch.setenv("COLUMNS", "80")
    qr.check_qr(as_json=False)
    qr.write_qr(LINE)
    drawn = terminal.getvalue().splitlines()
    assert 20 < len(drawn) < 40
    assert LINE not in terminal.getvalue()


def test_a_terminal_that_is_too_narrow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    pytest.importorskip("segno")
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(UsageError, match=r"columns wide and the terminal 20: widen it$"):
        qr.write_qr(LINE)
    assert not terminal.getvalue()


def test_an_invitation_without_room_for_its_code_holds_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_terminal(monkeypatch)
    pytest.importorskip("segno")
    said: list[str] = []
    monkeypatch.setenv("COLUMNS", "20")
    qr.draw_qr(LINE, said.append)
    assert len(said) == 1
    assert said[0].endswith("the terminal 20: widen it; the line above does as well")
    monkeypatch.setenv("COLUMNS", "80")
    qr.draw_qr(LINE, said.append)
    assert len(said) == 1


def test_the_secret_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(UsageError, match="holds a secret and is for a terminal"):
        qr.check_qr(as_json=False)
    with pytest.raises(UsageError, match="leave out --json, or --qr"):
        qr.check_qr(as_json=True)


def test_without_the_package_the_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = a_terminal(monkeypatch)
    monkeypatch.setattr(qr, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'segno~=1\.6'$"):
        qr.check_qr(as_json=False)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["qr"] == [qr.SEGNO]
    assert not terminal.getvalue()
