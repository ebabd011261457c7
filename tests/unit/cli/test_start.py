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
@pytest.mark.parametrize(
    ("words", "variable", "has_file"),
    [
        ("nat-traversal client --config home", "", True),
        ("nat-traversal server --config=/etc/server.toml", "", True),
        ("traversal-server --conf server.toml", "", True),
        ("nat-traversal server", "NAT_TRAVERSAL_CONFIG", True),
        ("nat-traversal client", "", True),
        ("traversal_client.py --relay always", "", True),
        ("nat-traversal server", "", False),
        ("nat-traversal client --server x -r ben --connect 53", "", False),
        ("traversal_client.py --server x --remote=ben", "", False),
        ("nat-traversal client --server x", "NAT_TRAVERSAL_REMOTE", False),
    ],
)
def test_a_reload_that_is_asked_for_early_ends_nothing(
    words: str, variable: str, has_file: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[signal.Signals, Any] = {}
    for name in ("NAT_TRAVERSAL_CONFIG", "NAT_TRAVERSAL_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "x")
    monkeypatch.setattr(sys, "argv", words.split())
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(start, "has_terminal", lambda: terminal)
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    start._end_at_once()
    for number in STOPPING:
        handlers[number](number, None)

    reloads = has_file and not terminal
    assert len(ended) == (2 if reloads else 3)
