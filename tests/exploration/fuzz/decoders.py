"""Every decoder against inputs near what is right. A target makes one input and says in a word what came of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.inbox import Delivery
from nat_traversal.aio.packet_io import Batch
from nat_traversal.aio.traffic import Traffic
from nat_traversal.arguments import config
from nat_traversal.arguments.durations import parse_duration
from nat_traversal.crypto import keyfile
from nat_traversal.errors import LocalProtocolError, UsageError, WireError
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.paths.bundles import RECORD
from nat_traversal.paths.control_channel import ControlChannel
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import control, datagrams, stun
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint, parse_host_port
from nat_traversal.wire.streamed import Incoming, Item, framed
from nat_traversal.wire.tray import Run
from natlab.faults.grammar import parse_fault
from natlab.testbed.program_file import parse_program_file
from tests import ROOT
from tests.exploration.fuzz.inputs import line, octets, pieces, text
from tests.exploration.fuzz.messages import Messages
from tests.mutations import Targets
from tests.sim.clock import Clock
from tests.unit.bundled import bundled
from tests.unit.counterpart import two_ends

Target = Callable[[], str]
PEER = Endpoint("198.51.100.2", 40_001)


class Decoders:
    """The targets by name, over one source of chance."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        messages = Messages(random.Random(0))
        self._lines = [control.encode(each)[:-1] for each in _one_of_each(messages)]
        recorded = Targets().recorded
        self._frames = [each for each in recorded if each[0] in datagrams.FRAMES]
        relayed = (Kind.BIND, Kind.BOUND, Kind.LINK)
        self._relayed = [each for each in recorded if each[0] in relayed]
        others = {*self._frames, *self._relayed}
        self._datagrams = [each for each in recorded if each not in others]
        self._stun = list(_stun_requests())
        self._config = [(ROOT / "deploy" / "server.toml").read_text(encoding="utf-8"), _CONFIG]
        examples = sorted((ROOT / "examples").glob("*.toml"))
        self._programs = [each.read_text(encoding="utf-8") for each in examples]
        self._path = _Path()
        self._bundle = bundled([(1, 7, b"xyz"), (0, 7, b""), (1, 9, bytes(60))], 25)
        self.targets: dict[str, tuple[int, Target]] = {
            "control lines": (150, self._control),
            "datagrams": (150, lambda: self._datagram(self._datagrams)),
            "relay records": (80, lambda: self._datagram(self._relayed)),
            "frames on a path": (100, self._on_a_path),
            "CONTROL messages": (50, self._channel),
            "relayed TCP frames": (70, self._streamed),
            "STUN": (100, self._binding),
            "configuration files": (20, self._toml),
            "program files": (10, self._program),
            "keys and words": (70, self._words),
        }

    def _control(self) -> str:
        given = line(self._rng, self._lines)
        try:
            found = control.decode(given)
        except WireError:
            return "refused"
        if isinstance(found, m.UnknownMessage):
            return "unknown"
        if isinstance(found, m.ForPair) and isinstance(found.message, m.UnknownMessage):
            return "unknown, of a further pair"
        try:
            again = control.decode(control.encode(found)[:-1])
        except LocalProtocolError:
            return "taken, too long to be sent"
        assert again == found, given
        return "taken"

    def _datagram(self, seeds: Sequence[bytes]) -> str:
        given = octets(self._rng, seeds)
        try:
            found = datagrams.decode(given)
        except WireError:
            return "refused"
        assert datagrams.decode(datagrams.encode(found)) == found, given
        return "taken"

    def _on_a_path(self) -> str:
        rng = self._rng
        if rng.randrange(2):
            return self._path.take([octets(rng, self._frames), octets(rng, self._path.sealed)])
        kind = rng.choice(list(datagrams.FRAMES))
        plain = octets(rng, (b"", b"\1\0\0\0\7x", bytes(40), *self._bundle))
        return self._path.take([self._path.seal(kind, plain)])

    def _channel(self) -> str:
        rng, channel = self._rng, ControlChannel()
        channel.send(b"x", 0.0)
        for _ in range(3):
            number = rng.choice([0, 1, 2, 65_535]).to_bytes(2, "big")
            given = octets(rng, (number + b"\0\1", number + b"\0\1body", number + bytes(43)))
            try:
                bodies, _ = channel.arrived(given, 0.0)
            except WireError:
                return "refused"
            assert len(bodies) <= 1
        return "taken"

    def _streamed(self) -> str:
        rng = self._rng
        frames = [
            framed(rng.choice(self._frames)) if rng.randrange(8) else b"\0\0"
            for _ in range(rng.randrange(1, 4))
        ]
        given = octets(rng, (b"".join(frames),))
        whole, cut = _items([given]), _items(pieces(rng, given))
        assert whole == cut, given
        return "refused" if whole and whole[-1] is None else "taken"

    def _binding(self) -> str:
        given, alternate = octets(self._rng, self._stun), self._rng.random() < 0.5
        try:
            request = stun.decode(given, has_alternate=alternate)
        except WireError:
            return "refused"
        other = Endpoint("2001:db8::1", 2) if alternate else None
        answer = stun.encode(stun.BindingResponse(request, PEER, other, other))
        assert answer is None or len(answer) + 28 <= 2 * (len(given) + 28), given
        return "answered" if answer else "not answered"

    def _toml(self) -> str:
        given = text(self._rng, self._config)
        try:
            found = config.parse(given, "file.toml")
        except UsageError as error:
            return _refusal(error)
        for key in found.values:
            number = found.line(key)
            assert number is None or 1 <= number <= given.count("\n") + 1, given
        return "taken"

    def _program(self) -> str:
        try:
            parse_program_file(text(self._rng, self._programs), PurePath("file.toml"))
        except UsageError as error:
            return _refusal(error)
        return "taken"

    def _words(self) -> str:
        parse, seeds = self._rng.choice(_WORDS)
        try:
            parse(text(self._rng, seeds))
        except UsageError as error:
            return _refusal(error)
        return "taken"


def _refusal(error: UsageError) -> str:
    assert "\n" not in str(error), error
    return "refused"


def _one_of_each(messages: Messages) -> Iterable[m.Message]:
    found: dict[type[Any], m.Message] = {}
    classes = set(m.Message.__args__)
    while classes - set(found):
        made = messages.make()
        if not isinstance(made, m.UnknownMessage):
            found.setdefault(type(made), made)
    return found.values()


def _items(given: Sequence[bytes]) -> list[Item | None]:
    """What comes of these octets on a relay's connection; None at the end: an error."""
    incoming, found = Incoming(), list[Item | None]()
    incoming.use_stream()
    try:
        for each in given:
            found += incoming.feed(each)
    except WireError:
        found.append(None)
    return found


def _stun_requests() -> Iterable[bytes]:
    for cookie in (stun.COOKIE, 1):
        for attributes in (
            b"",
            b"\0\3\0\4\0\0\0\6",
            b"\0\x27\0\4\x12\x34\0\0",
            b"\x80\x22\0\3abc\0",
            b"\0\7\0\0" * 9,
        ):
            head = b"\0\1" + len(attributes).to_bytes(2, "big") + cookie.to_bytes(4, "big")
            yield head + bytes(range(12)) + attributes


_CONFIG = json.dumps("x").join(
    ["id = ", '\n[[peer]]\nid = "b"\n[peer.set]\nmtu = 1400\nlist = [1, "two", 3.0]\n']
)
_WORDS: tuple[tuple[Callable[[str], object], tuple[str, ...]], ...] = (
    (parse_duration, ("20ms", "1h", "2.5s", "1e3s", "0")),
    (parse_fault, ("at=4s:nat-reboot nat_a", "at=1s:block nat_a nat_b", "on=/x/:signal a STOP")),
    (lambda each: parse_host_port(each, default_host="127.0.0.1"), ("a.example:53", "[::1]:6545", "1.2.3.4:5")),
    (
        lambda each: keyfile.parse_key(keyfile.SHARED, each, "file"),
        (keyfile.as_text(keyfile.SHARED, bytes(32)), keyfile.as_text(keyfile.PUBLIC, bytes(32))),
    ),
    (
        lambda each: keyfile.parse_known_peers(each, "file"),
        (f"host_b {keyfile.as_text(keyfile.PUBLIC, bytes(range(32)))}\n# a comment\n\n",),
    ),
)  # fmt: skip


class _Path:
    """One path that stands, without a socket, and the peer's keys."""

    def __init__(self) -> None:
        ours, self._peers = two_ends()
        self.frames: list[tuple[Kind, bytes]] = []
        self._delivered = 0
        self._path = DataPath(
            None,
            UsePath(1, PEER, ours),
            forwarder=self,
            traffic=Traffic(Counters()),
            settings=ClientSettings(),
            clock=Clock(),
            on_frame=lambda kind, plain: self.frames.append((kind, plain)),
            on_event=lambda _: None,
            on_other=lambda _: None,
            io=_NoSocket(),
        )
        self.sealed = [self.seal(Kind.DATA, b"\1\0\0\0\7" + bytes(n)) for n in range(4)]
        self.take(self.sealed)

    def seal(self, kind: Kind, plain: bytes) -> bytes:
        return self._peers.sealer.seal(kind, plain)

    def take(self, frames: Sequence[bytes]) -> str:
        """Frames of one call, together."""
        before, told = self._delivered, len(self.frames)
        self._path.arrived([Run.of(each) for each in frames])
        if self._delivered > before:
            assert self._delivered - before <= sum(map(len, frames)) // RECORD.size
            return "delivered"
        found = "told" if len(self.frames) > told else "dropped"
        self.frames.clear()
        return found

    def path_up(self, path: DataPath) -> None: ...

    def path_down(self) -> None: ...

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None: ...

    def not_sent(self, reason: str) -> None: ...

    def deliver(self, batch: Sequence[Delivery]) -> None:
        self._delivered += sum(len(each.payloads) for each in batch)


class _NoSocket:
    def receive(self, most: int = 1, *, again: bool = False) -> Batch:
        raise NotImplementedError

    def send_run(self, octets: memoryview, size: int) -> int:
        return 1

    def send_parts(self, parts: Sequence[memoryview]) -> int:
        return len(parts)
