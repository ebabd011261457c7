"""A server's log: as JSON, and without the ids of hosts."""

from __future__ import annotations

import json
import re

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import log_options
from nat_traversal.cli import main as cli
from nat_traversal.cli.console import Console
from nat_traversal.cli.lines import JsonLines
from nat_traversal.cli.server_arguments import server_options
from nat_traversal.cli.teller import Teller
from nat_traversal.cli.veil import Veil
from nat_traversal.machine import notices as note

FAILED = note.PairFailed(
    "host_a",
    "host_a.b",
    3,
    "no-path",
    "no HELLO got through between host_a (192.0.2.9:1) and host_a.b: xhost_a host_a",
)


def test_each_line_is_an_object_with_what_is_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=False, form=JsonLines())
    console.told(FAILED)
    console.told_now_and_then(note.HostLeft("host_a"), Teller(lambda: 0.0, 1.0), "x")
    console.say("listening\non \x1b[31m")
    console.fail("no such file")
    console.log("one\ntwo")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [
        e for e in lines if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"])
    ] == []
    for line in lines:
        del line["time"]
    assert lines == [
        {
            "level": "info",
            "text": f"host_a and host_a.b: {FAILED.text}",
            "event": "pair-failed",
            "first": "host_a",
            "second": "host_a.b",
            "attempt": 3,
            "code": "no-path",
            "source": "",
        },
        {
            "level": "info",
            "text": "host_a has left",
            "event": "host-left",
            "id": "host_a",
            "source": "",
            "kept_back": 0,
        },
        {"level": "info", "text": "listening\\x0aon \\x1b[31m"},
        {"level": "error", "text": "no such file"},
        {"level": "debug", "text": "one"},
        {"level": "debug", "text": "two"},
    ]


def test_ids_are_hashed_everywhere_in_a_notice_and_nothing_else_is() -> None:
    veil = Veil(b"k" * 32)
    veiled = veil(FAILED)
    assert isinstance(veiled, note.PairFailed)
    a, b = veil.hidden("host_a"), veil.hidden("host_a.b")
    assert re.fullmatch(r"id-[0-9a-f]{12}", a)
    assert a != b
    assert (veiled.first, veiled.second, veiled.code) == (a, b, "no-path")
    assert veiled.text == f"no HELLO got through between {a} (192.0.2.9:1) and {b}: xhost_a {a}"
    assert Veil(b"other" * 8).hidden("host_a") != a


def test_a_notice_without_an_id_is_as_it_was() -> None:
    refused = note.HostRefused(None, "too-slow", "no registration within 10 s")
    assert Veil(b"k" * 32)(refused) == refused


def test_with_hashed_ids_no_output_names_a_host(capsys: pytest.CaptureFixture[str]) -> None:
    options = server_options(Parser()).parse_args(["--hash-ids", "--log-format", "json"])
    console = Console(
        as_json=True,
        form=log_options.form_of(options, dated=False),
        veil=log_options.veil_of(options),
    )
    console.told(FAILED)
    out, err = capsys.readouterr()
    assert out.count("\n") == err.count("\n") == 1
    assert not re.search(r"(?<!x)host_a", out + err)


def test_hashed_ids_and_every_message_exclude_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.server_main(["--hash-ids", "-v"]) == 2
    assert capsys.readouterr().err.startswith("error: --verbose tells every message with its ids")
