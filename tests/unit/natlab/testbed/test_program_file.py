"""Program files: what a right one means, and the one line that a wrong one gets."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from nat_traversal.arguments.config import MAX_SIZE
from nat_traversal.errors import UsageError
from natlab.evidence.program import Expectation
from natlab.faults.grammar import parse_fault
from natlab.testbed.program_file import (
    ByExchange,
    ByExit,
    ByLine,
    Keep,
    ProgramFile,
    Start,
    parse_program_file,
    read_program_file,
)
from tests import ROOT

PATH = PurePath("dir/meet.toml")
SHORTEST = """\
[peers.a]
command = "meet b"
[peers.b]
command = "meet a"
[success]
line = "connected"
"""


def parsed(text: str) -> ProgramFile:
    return parse_program_file(text, PATH)


def test_the_shortest_file_has_two_peers_on_the_hosts_of_their_names() -> None:
    assert parsed(SHORTEST) == ProgramFile(
        "meet",
        PurePath("dir"),
        (),
        (Start("a", "host_a", "meet b"), Start("b", "host_b", "meet a")),
        ByLine("connected"),
        ("host_a", "host_b"),
        ("a", "b"),
    )


def test_every_key_is_read() -> None:
    file = parsed("""\
name = "my VPN"
topology = "star,peers=3,nats={nat_a}/{nat_b}"
between = ["host_1", "host_3"]
within = "2m"
settle = "5s"
idle = "1m"
expect = "possible"
faults = ["at=4s:nat-reboot nat_1"]

[[server]]
command = "turnserver"
ready = "udp:3478"
ready_within = "5s"

[[server]]
on = "host_2"
command = "signal"
environment = { LEVEL = "1" }

[peers.one]
on = "host_1"
command = '''sh -c "echo [server]"'''
ready = "up"
[peers.two]
on = "host_3"
command = "vpn"

[success]
by = ["one"]
failure = "gave up"
payload = "mark"
[success.exchange]
from = "host_1"
to = "10.9.0.3:7"
at = "host_3"
listen = "0.0.0.0:7"

[links]
delay = "10ms"

[keep]
capture = "failed"
files = ["host_1:/tmp/*.log"]
""")
    one = Start("one", "host_1", 'sh -c "echo [server]"', "up")
    assert file == ProgramFile(
        "my VPN",
        PurePath("dir"),
        (
            Start("server", "server", "turnserver", "udp:3478", 5.0),
            Start("server-2", "host_2", "signal", environment={"LEVEL": "1"}),
        ),
        (one, Start("two", "host_3", "vpn")),
        ByExchange("host_1", "10.9.0.3:7", "host_3", "0.0.0.0:7", "gave up"),
        ("host_1", "host_3"),
        ("one",),
        "star,peers=3,nats={nat_a}/{nat_b}",
        120.0,
        5.0,
        60.0,
        Expectation.POSSIBLE,
        "mark",
        (parse_fault("at=4s:nat-reboot nat_1"),),
        Keep.FAILED,
        (("host_1", "/tmp/*.log"),),
        {"delay": "10ms"},
    )
    assert file.network("symmetric", "none") == "star,peers=3,nats=symmetric/none"
    assert not file.is_a_pair


def test_a_topology_without_places_for_the_nats_gets_them_as_parameters() -> None:
    assert parsed(SHORTEST).network("none", "EIM+ADF") == "two_nats,nat_a=none,nat_b=EIM+ADF"
    file = replace(parsed(SHORTEST), topology="double_nat,cgn_a=cgnat")
    assert file.network("none", "none") == "double_nat,cgn_a=cgnat,nat_a=none,nat_b=none"


@pytest.mark.parametrize("written", ["90", "90.0", '"90"', '"90s"', '"1.5m"'])
def test_a_duration_is_a_text_or_a_bare_number_of_seconds(written: str) -> None:
    assert parsed(f"within = {written}\n{SHORTEST}").within == 90.0


def test_an_exit_status_is_a_success_too() -> None:
    file = parsed(SHORTEST.replace('line = "connected"', "exit_status = 0"))
    assert file.success == ByExit(0)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"meet b"', '"meet b', 2, "this is no TOML: .*; texts stand in quotes"),
        ("[peers.a]", "[peers.a", 1, "this is no TOML"),
        ('command = "meet a"', "", 3, r'peers.b: it needs a command: add command = "..."'),
        ('"meet a"', "7", 4, r"peers.b.command: 7 is not a text in quotes: write it as command = "),
        ('"meet a"', "\"it's open\"", 4, "peers.b.command: cannot read the command"),
        ("command =", "comand =", 1, 'peers.a: it needs a command'),
        ('"meet a"', '"meet a"\nredy = "x"', 5, "peers.b.redy: there is no such key here: do you mean ready?"),
        ('"meet a"', '"meet a"\nready = "("', 5, r"peers.b.ready: '\(' is no regular expression"),
        ('"meet a"', '"meet a"\nready = "udp:65536"', 5, r"peers.b.ready: 'udp:65536' is no port: give one from 1 to 65535"),
        ('"connected"', '"("', 6, r"success.line: '\(' is no regular expression"),
        ("[peers.a]", 'faults = ["on=host_a:up:signal a KILL"]\n[peers.a]', 1, "faults: fault 'on=host_a:up:signal a KILL': there is no program 'host_a': choose from a, b"),
        ("[peers.a]", 'faults = ["at=1s:restart c"]\n[peers.a]', 1, "there is no program 'c': choose from a, b"),
        ('"meet a"', '"meet a"\nready_within = "soon"', 5, "peers.b.ready_within: 'soon' is no duration"),
        ('"meet a"', '"meet a"\nready_within = -1', 5, "peers.b.ready_within: '-1' is no duration"),
        ('"meet a"', '"meet a"\nready_within = true', 5, "peers.b.ready_within: True is not a text in quotes"),
        ("[success]", "[succes]", 1, r"it does not say how success shows: add \[success\]"),
        ('line = "connected"', "", 5, "success: give one of line, exit_status, exchange"),
        ('line = "connected"', 'line = "x"\nexit_status = 0', 5, "give one of .*, not line and exit_status"),
        ('line = "connected"', "exit_status = 300", 6, "success.exit_status: 300 is no exit status"),
        ('line = "connected"', "exit_status = true", 6, "True is not a whole number"),
        ('"connected"', '"connected"\nby = ["c"]', 7, "success.by: there is no peer 'c': choose from a, b"),
        ('"connected"', '"connected"\nby = 3', 7, "success.by: 3 is no list of texts"),
        ('line = "connected"', 'exchange = { from = "host_a" }', 6, "success.exchange: it needs to, at, listen"),
        ('line = "connected"', 'exchange = { to = "nowhere" }', 6, "success.exchange.to: 'nowhere' is no endpoint"),
        ("[peers.b]", "[peers.a-very-long-name-of-more-than-31-octets]", 3, "a peer's name is a letter"),
        ("[success]", '[keep]\ncapture = "sometimes"\n[success]', 6, "keep.capture: 'sometimes': choose from always, failed, never"),
        ("[success]", '[keep]\nfiles = ["/tmp/x"]\n[success]', 6, "'/tmp/x': give NODE:/PATH"),
        ("[success]", '[links]\ndelay = "far"\n[success]', 5, "links: delay: 'far' is no duration"),
        ("[peers.a]", 'faults = ["at=2s:explode"]\n[peers.a]', 1, "faults: .*explode"),
        ("[peers.a]", 'expect = "luck"\n[peers.a]', 1, "expect: 'luck': choose from anything, possible, always"),
        ("[peers.a]", 'between = ["host_a"]\n[peers.a]', 1, "between: name the two hosts whose path counts"),
        ("[peers.b]", '[[server]]\n[peers.b]', 3, "server.0: it needs a command"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_line_and_remedy(
    old: str, new: str, line: int, words: str
) -> None:
    assert old in SHORTEST
    with pytest.raises(UsageError) as raised:
        parsed(SHORTEST.replace(old, new, 1))
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(f"dir/meet.toml:{line}: "), text
    assert re.search(words, text), text


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"cannot read the program file .*: No such file"):
        read_program_file(tmp_path / "none.toml")
    for endless in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(UsageError, match="this is no regular file: name one"):
            read_program_file(Path(endless))
    (tmp_path / "long.toml").write_bytes(b"#" * (MAX_SIZE + 1))
    with pytest.raises(UsageError, match="is no program file: it has more than 1048576 octets"):
        read_program_file(tmp_path / "long.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(UsageError, match="is no program file: TOML is text in UTF-8"):
        read_program_file(tmp_path / "latin.toml")


def test_the_mark_of_windows_editors_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "meet.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SHORTEST.replace("\n", "\r\n").encode())
    assert len(read_program_file(file).starts) == 2


def test_an_odd_regular_expression_brings_no_word_of_pythons() -> None:
    """Python warns on stderr of brackets in brackets; found by the fuzz."""
    assert parsed(SHORTEST.replace("connected", "[[a]")).success == ByLine("[[a]")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_the_examples_are_right(path: Path) -> None:
    assert read_program_file(path).name
