"""Signals that come before a command has begun."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from nat_traversal.cli import start
from nat_traversal.cli.stopping import STOPPING


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["client", "--config", "home"], 0),
        (["server"], 0),
        (["config", "check"], 130),
        (["status"], 130),
        ([], 0),
    ],
)
def test_who_only_asks_has_no_answer_when_it_ends_early(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nat-traversal", *words])

    assert start._early_status() == status


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("words", [["client", "--config", "home"], ["client"]])
def test_a_reload_that_is_asked_for_early_ends_nothing(
    words: list[str], terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[signal.Signals, Any] = {}
    monkeypatch.setattr(sys, "argv", ["nat-traversal", *words])
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(start, "has_terminal", lambda: terminal)
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    start._end_at_once()
    for number in STOPPING:
        handlers[number](number, None)

    reloads = "--config" in words and not terminal
    assert len(ended) == (2 if reloads else 3)
