"""Notices, told to people on stderr and to programs on stdout (one JSON object a line)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from nat_traversal.cli.lines import LineForm, Prose
from nat_traversal.cli.plain import one_line
from nat_traversal.cli.teller import Teller, with_count
from nat_traversal.cli.writer import LineWriter
from nat_traversal.machine import notices as note
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, PeerState, Serves
from nat_traversal.wire.methods import RELAYS, MethodName


class Console:
    """Lines of `form` to stderr; with `as_json` also events to stdout. `veil` changes a notice before it is told.

    Every text is one line, whatever others have put into it. A stream that takes no more is not an error.
    `reader_left` is called, from any thread, when a pipe's other end is closed: nobody reads the events
    any more.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        quiet: bool = False,
        form: LineForm | None = None,
        veil: Callable[[note.Notice], note.Notice] | None = None,
        reader_left: Callable[[], None] = lambda: None,
    ) -> None:
        self._json = as_json
        self._quiet = quiet
        self._form = form or Prose()
        self._veil = veil or (lambda notice: notice)
        self.reader_left = reader_left
        self._started = time.monotonic()
        self._writers: dict[str, LineWriter] = {}
        """By the name of their stream, once nobody may wait for it."""

    @property
    def as_json(self) -> bool:
        """Whether events are still written to stdout."""
        return self._json

    def never_wait(self) -> None:
        """From now on a line waits for its reader in a thread of its own."""
        for name, dropped_line in (
            ("stdout", self._dropped_event),
            ("stderr", self._dropped_words),
        ):
            stream = getattr(sys, name)
            try:
                fd = stream.fileno()
            except (AttributeError, OSError, ValueError):  # there is none, or it is no file
                continue
            self._writers[name] = LineWriter(
                fd, dropped_line=dropped_line, failed=partial(self._failed, stream)
            )

    def finish(self, within: float = 1.0) -> None:
        """Let what was said go out, in at most `within` seconds for each stream."""
        for writer in self._writers.values():
            writer.finish(within)

    @property
    def dropped(self) -> int:
        """Lines that nobody read in time."""
        return sum(writer.dropped for writer in self._writers.values())

    def told(self, notice: note.Notice, text: str = "") -> None:
        """One notice of a machine. `text`: other words than its own."""
        notice = self._veil(notice)
        values = _values(notice)
        self.event(_event_name(notice), **values)
        self.say(text or describe(notice), event=_event_name(notice), **values)

    def told_now_and_then(self, notice: note.Notice, teller: Teller, kind: Hashable) -> None:
        """One notice of a kind that may come without end."""
        kept_back = teller.due((type(notice), kind))
        if kept_back is not None:
            notice = self._veil(notice)
            values = {**_values(notice), "kept_back": kept_back}
            self.event(_event_name(notice), **values)
            text = with_count(describe(notice), kept_back)
            self.say(text, event=_event_name(notice), **values)

    def problem(self, text: str, teller: Teller) -> None:
        """Trouble that every datagram may have."""
        kept_back = teller.due(text)
        if kept_back is not None:
            self.event("problem", text=text, kept_back=kept_back)
            self.say(with_count(text, kept_back))

    def event(self, name: str, **values: Any) -> None:
        """One JSON line: the event's name, seconds since the start, wall-clock time, its values."""
        if not self._json:
            return
        self._write(sys.stdout, self._event_line(name, values))

    def say(self, text: str, /, **values: Any) -> None:
        """One line for people. `values` are for a form that programs read."""
        if not self._quiet:
            self._write(sys.stderr, self._line("info", text, values))

    def fail(self, text: str) -> None:
        """One line for people that `quiet` does not silence."""
        self._write(sys.stderr, self._line("error", text))

    def log(self, text: str) -> None:
        """Lines of a developer's log, each as it is."""
        lines = text.split("\n")
        self._write(sys.stderr, "\n".join(self._line("debug", line) for line in lines))

    def _line(self, level: str, text: str, values: Mapping[str, Any] | None = None) -> str:
        plain = {key: _plain(value) for key, value in (values or {}).items()}
        return self._form.line(level, one_line(text), plain)

    def _event_line(self, name: str, values: dict[str, Any]) -> str:
        line = {
            "event": name,
            "elapsed": round(time.monotonic() - self._started, 6),
            "time": round(time.time(), 6),
            **{key: _plain(value) for key, value in values.items()},
        }
        return json.dumps(line).replace("\x7f", r"\u007f")

    def _dropped_event(self, count: int) -> str:
        return self._event_line("lines-dropped", {"count": count})

    def _dropped_words(self, count: int) -> str:
        return self._line("info", f"{count} lines were dropped here: nobody read them in time")

    def _write(self, stream: Any, line: str) -> None:
        writer = self._writers.get("stdout" if stream is sys.stdout else "stderr")
        if writer is not None:
            writer.put(line)
            return
        if stream is None:  # it was closed before the start; `print` would take stdout
            return
        try:
            print(line, file=stream, flush=True)
        except (OSError, ValueError) as error:
            self._failed(stream, error)

    def _failed(self, stream: Any, error: Exception) -> None:
        """A closed pipe, a full disk, a terminal that is gone."""
        if stream is sys.stdout:
            self._json = False
            if isinstance(error, BrokenPipeError):
                self.reader_left()
        else:
            self._quiet = True
        discard(stream)


def discard(stream: Any) -> None:
    """Let what is still buffered go nowhere: at its end Python would fail over it, with status 120."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def describe(notice: note.Notice) -> str:
    """A notice in plain words: one line."""
    return _WORDS[type(notice)](notice)


def _server_lost(notice: note.ServerLost) -> str:
    then = "giving up" if notice.retry_in is None else f"trying again in {notice.retry_in:.1f} s"
    remedy = f" ({notice.remedy})" if notice.remedy else ""
    return f"server: {notice.reason}; {then}{remedy}"


def _peer_seen(notice: note.PeerSeen) -> str:
    return {
        PeerState.ABSENT: f"waiting for {notice.peer}",
        PeerState.PRESENT: f"{notice.peer} is here",
        PeerState.LEFT: f"{notice.peer} has left",
    }[notice.state]


def _sides_alike(notice: note.SidesAlike) -> str:
    other = "connect HOST:PORT" if notice.serves is Serves.LISTEN else "listen PORT"
    return (
        f"{notice.peer} has --{notice.serves} only, as this side has: no program's datagram can "
        f"cross until one of the two has --{other}"
    )


def _announce_unanswered(notice: note.AnnounceUnanswered) -> str:
    why = "its UDP port seems blocked on the way"
    if notice.reason:
        why = f"nothing leaves this host: {notice.reason}"
    return f"the server has not answered over UDP for {notice.seconds:.0f} s: {why}"


def _attempt_failed(notice: note.AttemptFailed) -> str:
    then = "giving up" if notice.retry_in is None else f"next attempt in {notice.retry_in:.0f} s"
    return f"no path: {notice.text}; {then}"


def _path_established(notice: note.PathEstablished) -> str:
    if notice.method == MethodName.TURN:
        return f"connected through TURN, to {notice.remote}, {notice.vouched}"
    if notice.method in RELAYS:
        by = " by TCP" if notice.method == MethodName.RELAY_TCP else ""
        return f"connected through the relay of the server at {notice.remote}{by}, {notice.vouched}"
    at = f"(round {notice.round}, {notice.method})"
    return f"connected to {notice.remote} {at}, {notice.vouched}"


def _path_moved(notice: note.PathMoved) -> str:
    is_relayed = notice.method in RELAYS
    way = "through the relay" if is_relayed else f"directly to {notice.remote}"
    way = "through TURN" if notice.method == MethodName.TURN else way
    why = f", since {notice.reason}" if notice.reason else ""
    return f"datagrams go {way} from now on{why}"


def _round_started(notice: note.RoundStarted) -> str:
    peer = " or ".join(str(candidate.endpoint) for candidate in notice.candidates)
    return f"round {notice.round}: this host is {notice.role.upper()}, the other is at {peer}"


_OTHER_SIDE = {"listen": "connect", "connect": "listen"}


def _service_at_peer(notice: note.ServiceAtPeer) -> str:
    which = f"service {notice.service}" if notice.service else "service"
    if notice.up:
        return f"the {which} at {notice.peer} answers again"
    return (
        f"nothing listens on the {which} that {notice.peer} connects to: it has to be started there"
    )


_WORDS: dict[type[Any], Callable[[Any], str]] = {
    note.ServerLost: _server_lost,
    note.RegisteredAtServer: lambda n: f"registered as {n.id}, to connect to {n.peer}",
    note.PeerSeen: _peer_seen,
    note.AskedBy: lambda n: (
        f"{n.id} is at the server and wants this host, which wants {n.peer}: "
        f"if {n.id} is meant, this side needs -r {n.id}"
    ),
    note.PeerMissing: lambda n: (
        f"nobody has come as {n.peer} for {n.seconds:.0f} s: the other side needs a client "
        f"with --id {n.peer} -r {n.id} and keys that fit, at the same server"
    ),
    note.SidesAlike: _sides_alike,
    note.ServiceAtPeer: _service_at_peer,
    note.ServicesReady: lambda n: f"services to {n.peer} are ready: {', '.join(n.names)}",
    note.ServiceOnlyHere: lambda n: (
        f"{n.peer} has no service {n.service}: its configuration needs one with {_OTHER_SIDE[n.side]}"
    ),
    note.ServiceOnlyThere: lambda n: (
        f"{n.peer} has the service {n.service}, which this side has not: it needs one with "
        f"{_OTHER_SIDE[n.side]}, or {n.peer} none"
    ),
    note.ServiceSidesAlike: lambda n: (
        f"this side and {n.peer} both have {n.side} for the service {n.service}: one of the two needs "
        f"{_OTHER_SIDE[n.side]}"
    ),
    note.ServiceKindsDiffer: lambda n: (
        f"the service {n.service} is {n.here} on this side and {n.there} on {n.peer}: both need the same"
    ),
    note.PortForwarded: lambda n: f"the router leads its UDP port {n.port} to this host",
    note.MappingLearned: lambda n: f"seen from outside as {n.mapped}",
    note.AddressHidden: lambda n: (
        f"the server sees this host at {n.mapped}, though it was reached at {n.via}: a proxy or a port "
        "forwarding in front of it hides its clients' addresses, and no direct path can open; the server has to "
        "run where it sees them (in a container with the host's network)"
    ),
    note.AnnounceUnanswered: _announce_unanswered,
    note.SocketLacking: lambda n: f"no UDP socket: {n.reason}; trying again every {n.retry_in:g} s",
    note.RoundStarted: _round_started,
    note.HelloWentOut: lambda n: f"round {n.round}: HELLO {n.step} sent to {n.destination}",
    note.HelloCameIn: lambda n: f"round {n.round}: HELLO {n.step} heard from {n.source}",
    note.PathSized: lambda n: f"frames of {n.size} octets pass; longer datagrams are cut",
    note.PathEstablished: _path_established,
    note.PeerAnswered: lambda n: f"the other side answered after {1000 * n.seconds:.1f} ms",
    note.AttemptFailed: _attempt_failed,
    note.NotDirect: lambda n: (
        f"no direct path: {n.text}; the relay goes on, next attempt in {n.retry_in:.0f} s"
    ),
    note.PathMoved: _path_moved,
    note.PeerRoamed: lambda n: (
        f"the other side's address is {n.remote} now: the path goes on there"
    ),
    note.NetworkChanged: lambda _: (
        "this host's network has changed: asking the path and the server whether they still answer"
    ),
    note.Woke: lambda _: (
        "this host was asleep, or its clock was set: asking the path and the server whether they still answer"
    ),
    note.WhyRelayed: lambda n: f"relayed since {n.reason}: {n.remedy}",
    note.GuessDue: lambda n: (
        f"a direct path takes guesses of ports, and this address has had some lately: the next may come in {n.wait:.0f} s"
    ),
    note.HopSought: lambda n: (
        f"round {n.round}: a first packet to {n.destination} ends at hop {n.hop}, between the NATs"
        if n.hop
        else f"round {n.round}: no router on the way to {n.destination} tells how far a packet has come"
    ),
    note.RelayTold: lambda n: f"relay: {n.text}",
    note.TurnFailed: lambda n: f"TURN: {n.reason}",
    note.PathLost: lambda n: f"connection lost: {n.reason}",
    note.ServerRefused: lambda n: f"the server refused: {n.text}",
    note.HostRegistered: lambda n: f"{n.id} has come, for {n.peer}",
    note.HostLeft: lambda n: f"{n.id} has left",
    note.HostRefused: lambda n: f"refused {n.id or 'a connection'}: {n.text}",
    note.StoreReached: lambda _: "the store answers: newcomers are admitted",
    note.StoreLost: lambda n: f"the store does not answer, so nobody is admitted: {n.reason}",
    note.NoRoom: lambda n: f"no room for one more connection: {n.text}",
    note.ClientsHidden: lambda n: (
        f"every client seems to come from {n.source}, though they have reached this server at {n.via}: a proxy or "
        "a port forwarding in front of it hides their addresses, and no direct path can open; let it keep the "
        "source, or run the server where it sees them (in a container with the host's network)"
    ),
    note.PairConnected: lambda n: f"{n.first} and {n.second} are connected (round {n.round})",
    note.PairFailed: lambda n: f"{n.first} and {n.second}: {n.text}",
}


def _values(notice: note.Notice) -> dict[str, Any]:
    return {name: getattr(notice, name) for name in _form_of(notice)[1]}


def _event_name(notice: note.Notice) -> str:
    return _form_of(notice)[0]


def event_of(kind: type[Any]) -> str:
    """The event's name of a kind of notice: `PathLost` is told as ``path-lost``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


_forms: dict[type[Any], tuple[str, tuple[str, ...]]] = {}


def _form_of(notice: note.Notice) -> tuple[str, tuple[str, ...]]:
    """The name of its event, and of its values."""
    kind = type(notice)
    if kind not in _forms:
        _forms[kind] = event_of(kind), tuple(field.name for field in fields(kind))
    return _forms[kind]


def _plain(value: Any) -> Any:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, Candidate):
        return {"kind": value.kind, "endpoint": str(value.endpoint)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
