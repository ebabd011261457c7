"""Text of others never leaves its line, nor commands a terminal."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.cli.answers import print_lines
from nat_traversal.cli.console import Console
from nat_traversal.cli.console_log import ConsoleHandler
from nat_traversal.cli.manager import Manager
from nat_traversal.cli.plain import one_line
from nat_traversal.cli.teller import Teller
from nat_traversal.machine import notices as note

HOSTILE = "no\nerror: forged\r\x1b[2J\x07\x9b31m\x7f\u202eturned\u2028line\ud800 \u00e9 \U000e0041"
ESCAPED = r"no\x0aerror: forged\x0d\x1b[2J\x07\x9b31m\x7f\u202eturned\u2028line\ud800 é \U000e0041"


def test_what_is_printable_stays_and_the_rest_is_escaped() -> None:
    assert one_line(HOSTILE) == ESCAPED
    assert one_line("refused host_a: größer, 終") == "refused host_a: größer, 終"


@given(st.text(st.characters()))
def test_any_text_is_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()


def test_a_lying_server_or_client_writes_one_line_and_commands_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(as_json=True)
    teller = Teller(lambda: 0.0, 1.0)
    console.told(note.ServerRefused("bad-id", HOSTILE))
    console.told(note.AttemptFailed("no-path", HOSTILE, 1.0))
    console.told_now_and_then(note.HostRefused(None, "bad-message", HOSTILE), teller, None)
    console.problem(HOSTILE, teller)
    console.fail(HOSTILE)
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 5
    assert [
        line for line in told.err.splitlines() if not (line.isprintable() and ESCAPED in line)
    ] == []
    events = told.out.splitlines()
    assert len(events) == 4
    assert [line for line in events if not line.isprintable()] == []
    assert {json.loads(line)["text"] for line in events} == {HOSTILE}


def test_the_log_of_developers_has_the_same_protection(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ConsoleHandler(Console(as_json=False))
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    log = logging.Logger("here")
    log.addHandler(handler)
    log.warning("ignored %s", HOSTILE)
    assert capsys.readouterr().err == f"here: ignored {ESCAPED}\n"
    log.error("it failed", exc_info=ValueError(HOSTILE))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "here: it failed"
    assert len(told) == 3
    assert [line for line in told if not line.isprintable()] == []


def test_the_messages_of_the_library_for_turn_stay_out_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = ConsoleHandler(Console(as_json=False))
    log = logging.Logger("aioice.turn")
    log.addHandler(handler)
    log.debug("turn/udp > Message(attributes={'USERNAME': 'lab', 'MESSAGE-INTEGRITY': b'x'})")
    assert capsys.readouterr().err == ""
    log.info("TURN allocation created")
    assert capsys.readouterr().err == "TURN allocation created\n"


def test_what_a_server_said_is_a_line_of_an_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`status` and `ping` tell why there is no path, in the server's words."""
    print_lines(f"no path: {HOSTILE}", "second", first="\x1b[H")
    assert capsys.readouterr().out == f"\x1b[Hno path: {ESCAPED}\nsecond\n"


def test_a_service_manager_takes_no_orders_from_a_server(tmp_path: Path) -> None:
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(place)
        Manager({"NOTIFY_SOCKET": place}).waiting("refused\nMAINPID=1")
        assert listening.recv(999) == b"STATUS=refused\\x0aMAINPID=1"
