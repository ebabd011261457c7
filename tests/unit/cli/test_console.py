"""What is told to people and to programs."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from nat_traversal import Endpoint
from nat_traversal.cli import main as cli
from nat_traversal.cli.console import Console, describe
from nat_traversal.cli.lines import Prose
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.wire.messages import Candidate, PeerState, Role, Serves
from tests.unit.counterpart import two_ends

MAPPED = Endpoint("203.0.113.2", 5000)
PEER = Endpoint("198.51.100.2", 6000)
SECRET = bytes(range(0xA0, 0xB0))

TOLD: list[tuple[note.Notice, str, str]] = [
    (
        note.ServerLost("connection refused", 1.25),
        "server-lost",
        "server: connection refused; trying again in 1.2 s",
    ),
    (note.ServerLost("connection refused", None), "server-lost", "connection refused; giving up"),
    (note.RegisteredAtServer("host_a", "host_b"), "registered-at-server", "registered as host_a"),
    (note.PeerSeen("host_b", PeerState.ABSENT), "peer-seen", "waiting for host_b"),
    (note.PeerSeen("host_b", PeerState.PRESENT), "peer-seen", "host_b is here"),
    (note.PeerSeen("host_b", PeerState.LEFT), "peer-seen", "host_b has left"),
    (
        note.AskedBy("host_c", "host_b"),
        "asked-by",
        "host_c is at the server and wants this host, which wants host_b: if host_c is meant",
    ),
    (
        note.PeerMissing("host_b", "host_a", 30.0),
        "peer-missing",
        "nobody has come as host_b for 30 s: the other side needs a client with --id host_b -r host_a",
    ),
    (
        note.SidesAlike("host_b", Serves.LISTEN),
        "sides-alike",
        "until one of the two has --connect HOST:PORT",
    ),
    (note.SidesAlike("host_b", Serves.CONNECT), "sides-alike", "the two has --listen PORT"),
    (note.ServiceAtPeer("host_b", False), "service-at-peer", "nothing listens on the service that"),
    (note.ServiceAtPeer("host_b", True), "service-at-peer", "the service at host_b answers again"),
    (note.ServiceAtPeer("b", False, "dns"), "service-at-peer", "listens on the service dns that b"),
    (note.ServicesReady("b", ("dns", "game")), "services-ready", "to b are ready: dns, game"),
    (
        note.ServiceOnlyHere("b", "dns", "listen"),
        "service-only-here",
        "b has no service dns: its configuration needs one with connect",
    ),
    (
        note.ServiceOnlyThere("b", "dns", "listen"),
        "service-only-there",
        "b has the service dns, which this side has not: it needs one with connect",
    ),
    (
        note.ServiceSidesAlike("b", "dns", "connect"),
        "service-sides-alike",
        "both have connect for the service dns: one of the two needs listen",
    ),
    (
        note.ServiceKindsDiffer("b", "web", "tcp", "udp"),
        "service-kinds-differ",
        "web is tcp on this side and udp on b",
    ),
    (
        note.PortForwarded(5000, 1),
        "port-forwarded",
        "the router leads its UDP port 5000 to this host",
    ),
    (note.MappingLearned(MAPPED, 1), "mapping-learned", "seen from outside as 203.0.113.2:5000"),
    (
        note.AddressHidden(Endpoint("127.0.0.1", 5000), "192.0.2.2"),
        "address-hidden",
        "the server sees this host at 127.0.0.1:5000, though it was reached at 192.0.2.2: a proxy",
    ),
    (note.AnnounceUnanswered(5.0), "announce-unanswered", "its UDP port seems blocked"),
    (
        note.AnnounceUnanswered(5.0, "Operation not permitted"),
        "announce-unanswered",
        "for 5 s: nothing leaves this host: Operation not permitted",
    ),
    (note.SocketLacking("none", 0.5), "socket-lacking", "none; trying again every 0.5 s"),
    (
        note.RoundStarted(3, 2, Role.B, (Candidate("srflx", PEER), Candidate("host", MAPPED))),
        "round-started",
        "round 2: this host is B, the other is at 198.51.100.2:6000 or 203.0.113.2:5000",
    ),
    (note.HelloWentOut(1, 2, PEER), "hello-went-out", "round 1: HELLO 2 sent to 198.51.100.2:6000"),
    (note.HelloCameIn(1, 3, PEER), "hello-came-in", "HELLO 3 heard from 198.51.100.2:6000"),
    (
        note.PathEstablished(
            3, 2, "ordered-hello", PEER, 4, "sealed; the server vouches for host_b"
        ),
        "path-established",
        "connected to 198.51.100.2:6000 (round 2, ordered-hello), sealed; the server vouches for",
    ),
    (
        note.PathEstablished(0, 0, "relay", PEER, 5, "sealed; the server vouches for host_b"),
        "path-established",
        "connected through the relay of the server at 198.51.100.2:6000, sealed; the server vouches",
    ),
    (
        note.PathEstablished(0, 0, "relay-tcp", PEER, 5, "sealed; the server vouches for host_b"),
        "path-established",
        "connected through the relay of the server at 198.51.100.2:6000 by TCP, sealed; the server",
    ),
    (
        note.WhyRelayed("your NAT gives a new port to every destination", "UPnP would help"),
        "why-relayed",
        "relayed since your NAT gives a new port to every destination: UPnP would help",
    ),
    (
        note.NotDirect("no-path", "no HELLO got through", 5.0),
        "not-direct",
        "no direct path: no HELLO got through; the relay goes on, next attempt in 5 s",
    ),
    (
        note.GuessDue(118.4),
        "guess-due",
        "a direct path takes guesses of ports, and this address has had some lately: the next may come in 118 s",
    ),
    (
        note.HopSought(5, 3, PEER),
        "hop-sought",
        "round 5: a first packet to 198.51.100.2:6000 ends at hop 3, between the NATs",
    ),
    (
        note.HopSought(5, None, PEER),
        "hop-sought",
        "round 5: no router on the way to 198.51.100.2:6000 tells how far a packet has come",
    ),
    (
        note.PathMoved("ordered-hello", PEER, 4, ""),
        "path-moved",
        "datagrams go directly to 198.51.100.2:6000 from now on",
    ),
    (
        note.PathMoved("relay", MAPPED, 5, "the other side has stopped answering"),
        "path-moved",
        "datagrams go through the relay from now on, since the other side has stopped answering",
    ),
    (
        note.PeerRoamed(PEER, 4),
        "peer-roamed",
        "the other side's address is 198.51.100.2:6000 now: the path goes on there",
    ),
    (note.NetworkChanged(), "network-changed", "this host's network has changed: asking the path"),
    (note.Woke(), "woke", "this host was asleep, or its clock was set: asking the path"),
    (
        note.RelayTold("relay-full", "all 256 relays of the server are in use"),
        "relay-told",
        "relay: all 256 relays of the server are in use",
    ),
    (
        note.TurnFailed("turn:turn.example:3478?transport=udp does not answer: check --turn"),
        "turn-failed",
        "TURN: turn:turn.example:3478?transport=udp does not answer: check --turn",
    ),
    (note.PathSized(4, 1372), "path-sized", "frames of 1372 octets pass; longer datagrams are cut"),
    (note.PeerAnswered(4, 0.0431), "peer-answered", "the other side answered after 43.1 ms"),
    (note.AttemptFailed("no-path", "too bad", 4.6), "attempt-failed", "next attempt in 5 s"),
    (
        note.AttemptFailed("no-path", "too bad", None),
        "attempt-failed",
        "no path: too bad; giving up",
    ),
    (note.PathLost("the other side closed it"), "path-lost", "the other side closed it"),
    (note.ServerRefused("id-in-use", "taken"), "server-refused", "the server refused: taken"),
    (note.HostRegistered("host_a", "host_b"), "host-registered", "host_a has come, for host_b"),
    (note.HostLeft("host_a"), "host-left", "host_a has left"),
    (note.HostRefused("host_a", "replaced", "gone"), "host-refused", "refused host_a: gone"),
    (note.HostRefused(None, "bad-message", "noise"), "host-refused", "refused a connection: noise"),
    (
        note.ClientsHidden("172.17.0.1", "192.0.2.2"),
        "clients-hidden",
        "every client seems to come from 172.17.0.1, though they have reached this server at 192.0.2.2: a proxy",
    ),
    (note.NoRoom("no files left"), "no-room", "no room for one more connection: no files left"),
    (
        note.PairConnected("host_a", "host_b", 3, 2),
        "pair-connected",
        "host_a and host_b are connected (round 2)",
    ),
    (
        note.PairFailed("host_a", "host_b", 3, "no-path", "too bad"),
        "pair-failed",
        "host_a and host_b: too bad",
    ),
    (note.StoreReached(), "store-reached", "the store answers: newcomers are admitted"),
    (
        note.StoreLost("connection reset"),
        "store-lost",
        "the store does not answer, so nobody is admitted: connection reset",
    ),
]


def test_the_table_below_has_every_notice() -> None:
    assert {type(notice) for notice, _, _ in TOLD} == set(get_args(note.Notice))


@pytest.mark.parametrize(("notice", "name", "words"), TOLD)
def test_a_notice_is_one_line_of_prose_and_one_of_json(
    notice: note.Notice, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(as_json=True).told(notice)
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == told.out.count("\n") == 1
    event = json.loads(told.out)
    assert event["event"] == name
    assert set(event) == {"event", "elapsed", "time", *type(notice).__dataclass_fields__}


def test_values_are_told_in_the_forms_that_users_type(capsys: pytest.CaptureFixture[str]) -> None:
    candidates = (Candidate("srflx", PEER), Candidate("host", Endpoint("2001:db8::1", 7)))
    Console(as_json=True).told(note.RoundStarted(3, 2, Role.B, candidates))
    event = json.loads(capsys.readouterr().out)
    del event["elapsed"], event["time"]
    assert event == {
        "event": "round-started",
        "attempt": 3,
        "round": 2,
        "role": "b",
        "candidates": [
            {"kind": "srflx", "endpoint": "198.51.100.2:6000"},
            {"kind": "host", "endpoint": "[2001:db8::1]:7"},
        ],
    }


def test_no_notice_carries_a_secret() -> None:
    """Not even one that a console would have to strip."""
    for notice in get_args(note.Notice):
        assert not {"token", "secret", "key"} & set(notice.__dataclass_fields__)
    assert repr(do.UsePath(1, PEER, two_ends()[0])) == f"UsePath(generation=1, remote={PEER!r})"


def test_elapsed_never_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    for _ in range(100):
        console.event("tick")
    ticks = [json.loads(line)["elapsed"] for line in capsys.readouterr().out.splitlines()]
    assert len(ticks) == 100
    assert ticks == sorted(ticks)
    assert ticks[0] >= 0


def test_stdout_is_silent_without_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=False).told(note.HostLeft("host_a"))
    assert capsys.readouterr() == ("", "host_a has left\n")


def test_a_line_of_a_log_file_begins_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=False, form=Prose(dated=True)).told(note.HostLeft("host_a"))
    told = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} host_a has left\n", told)


def test_times_are_for_log_files_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        assert cli.is_log_file(log)
        here = os.fstat(log.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{here.st_dev}:{here.st_ino}")
        assert not cli.is_log_file(log)
    assert not cli.is_log_file(log)
    assert not cli.is_log_file(None)
    master, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        assert not cli.is_log_file(stream)
    os.close(master)


def test_quiet_leaves_the_errors_and_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True, quiet=True)
    console.told(note.HostLeft("host_a"))
    console.fail("wrong")
    told = capsys.readouterr()
    assert told.err == "error: wrong\n"
    assert json.loads(told.out)["event"] == "host-left"


class _Broken(io.StringIO):
    """A stream that takes no more. Counts how often it was tried."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.tried = 0
        self._error = error

    def write(self, text: str) -> int:
        self.tried += 1
        raise self._error


ERRORS = [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed file")]


@pytest.mark.parametrize("error", ERRORS)
def test_a_stdout_that_takes_no_more_costs_only_the_json(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = _Broken(error)
    monkeypatch.setattr(sys, "stdout", stream)
    left: list[bool] = []
    console = Console(as_json=True, reader_left=lambda: left.append(True))
    console.told(note.HostLeft("host_a"))
    console.told(note.HostLeft("host_b"))
    assert capsys.readouterr().err == "host_a has left\nhost_b has left\n"
    assert stream.tried == 1
    assert left == [True] * isinstance(error, BrokenPipeError)


@pytest.mark.parametrize("error", ERRORS)
def test_a_stderr_that_takes_no_more_costs_only_the_prose(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream: Any = _Broken(error)
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console(as_json=True)
    console.told(note.HostLeft("host_a"))
    console.told(note.HostLeft("host_b"))
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert stream.tried == 1


def test_without_a_stderr_no_prose_comes_among_the_events(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(as_json=True)
    monkeypatch.setattr(sys, "stderr", None)
    console.say("prose")
    console.fail("an error")
    console.event("saved", file="x")
    (event,) = capsys.readouterr().out.splitlines()
    assert json.loads(event)["event"] == "saved"


def test_prose_is_plain() -> None:
    for notice, _, _ in TOLD:
        text = describe(notice)
        assert text == text.strip()
        assert not re.search(r"None|<|>|\bPeerState|\bRole", text)
