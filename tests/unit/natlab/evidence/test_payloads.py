"""Payloads that a key log opened: in words, in the ladder, and in the report's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nat_traversal.cli import opened
from nat_traversal.errors import UsageError
from natlab.cli.key_log import check_key_log
from natlab.evidence.journey import Fate
from natlab.evidence.result import Report
from natlab.matrix import payloads
from natlab.report import words
from natlab.report.files import read_report, write_report
from natlab.report.svg_ladder import ladder
from tests.unit.natlab.cells import cell, hello


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", '0 octets ""'),
        (b"hello", '5 octets "hello"'),
        (b'\x1b[2J"\\\xff', r'7 octets "\x1b[2J\x22\x5c\xff"'),
        (b"x" * 25, f'25 octets "{"x" * 24}"…'),
    ],
)
def test_a_payload_in_words_moves_no_cursor_and_tells_what_is_left_out(
    payload: bytes, text: str
) -> None:
    assert payloads.in_words(payload) == text


def test_only_opened_frames_have_words() -> None:
    answers = [b"hi".hex(), payloads.NOT_OPENED, "", f"{b'a'.hex()},,{b'b'.hex()}"]
    assert payloads.answered([b"one", b"two", b"three", b"four"], answers) == {
        b"one": '2 octets "hi"',
        b"three": '0 octets ""',
        b"four": '1 octets "a" + 0 octets "" + 1 octets "b"',
    }


def test_the_lab_asks_a_program_that_exists_and_knows_its_answer() -> None:
    assert (opened.__name__, opened.NOT_OPENED) == (payloads.OPENER, payloads.NOT_OPENED)


def test_the_ladder_the_output_and_the_file_show_a_payload(tmp_path: Path) -> None:
    data = replace(
        hello(1, Fate.DELIVERED, t=0.5), kind="DATA", step=None, payload='4 octets "<hi>"'
    )
    shown = cell(packets=(data,))
    assert "4 octets &#34;&lt;hi&gt;&#34;</text>" in ladder(shown)
    assert list(words.opened(shown)) == ['500.0 ms, host_a to host_b: 4 octets "<hi>"']
    write_report(Report({}, (shown,)), tmp_path / "report.json")
    assert read_report(tmp_path).cells[0].packets == (data,)


def test_commands_write_their_own_key_logs() -> None:
    check_key_log(True, own=True)
    check_key_log(False, own=False)
    with pytest.raises(UsageError, match="--key-log FILE"):
        check_key_log(True, own=False)
