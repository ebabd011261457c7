"""A server's lines: few for each source and reason, and the rest as a number."""

from __future__ import annotations

import json

import pytest

from nat_traversal.cli.console import Console
from nat_traversal.cli.server_log import ServerLog
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ServerSettings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_source_gets_one_line_a_second_for_a_reason_and_others_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock, counters = Clock(), Counters()
    log = ServerLog(Console(as_json=True), ServerSettings(log_burst=2), counters, clock)

    def refused(code: str, source: str) -> None:
        log.told(note.HostRefused(None, code, "noise", source))

    for _ in range(1000):
        refused("bad-message", "203.0.113.1")
    refused("too-slow", "203.0.113.1")
    refused("bad-message", "203.0.113.2")
    log.told(note.HostRegistered("host_a", "host_b", "203.0.113.1"))
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        *["refused a connection: noise"] * 4,
        "host_a has come, for host_b",
    ]
    assert [json.loads(line)["source"] for line in told.out.splitlines()] == [
        *["203.0.113.1"] * 3, "203.0.113.2", "203.0.113.1"
    ]  # fmt: skip
    clock.now = 1.0
    refused("bad-message", "203.0.113.1")
    assert "(998 more times since it was told last)" in capsys.readouterr().err
    assert counters["lines-kept-back"] == 998


def test_sources_without_end_get_no_lines_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    log = ServerLog(Console(as_json=False), ServerSettings(), Counters(), clock)
    for second in range(10):
        clock.now = float(second)
        for number in range(1000):
            source = f"203.0.{number // 250}.{number % 250}"
            log.told(note.HostRefused(None, "bad-message", "noise", source))
    assert len(capsys.readouterr().err.splitlines()) <= 10 * ServerSettings().log_most
