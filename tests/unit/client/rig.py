"""A client's machine with a clock, and a peer behind it that holds real keys."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

from nat_traversal.client.agent import Agent
from nat_traversal.client.phases import PathState
from nat_traversal.client.security import Security
from nat_traversal.crypto.proof import signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import Sockets
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Announced, Confirm, Datagram, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer
from tests.unit.counterpart import NO_ECHO, TOKEN, Counterpart, Voice, some_keys

US = Endpoint("203.0.113.2", 50_000)
"""Where the peer sends to."""
PEER = Endpoint("198.51.100.2", 40_000)
SERVER = Endpoint("192.0.2.2", 6545)
SETTINGS = ClientSettings()
_Action = TypeVar("_Action", bound=do.Action)


def an_early_hello(token: bytes) -> Hello:
    """Of a round that this host does not know."""
    (key,) = some_keys("stranger")
    return Voice(HandshakeKeys(key, key, key, b"conn"), token).hello(1, to=US)


class Rig:
    """An agent with a clock of its own; collects what it wants done."""

    def __init__(
        self,
        *,
        once: bool = False,
        last: int = 0,
        serves: m.Serves = m.Serves.UNTOLD,
        security: Security | None = None,
        peers: Security | None = None,
        relaying: m.Relaying = m.Relaying.NEVER,
    ) -> None:
        self.now = 0.0
        self.peer = Counterpart(security=peers)
        self.voice: Voice
        self.agent = Agent(
            *("host_a", "host_b"),
            rng=random.Random(0),
            once=once,
            sockets=Sockets(last),
            serves=serves,
            security=security,
            relaying=relaying,
        )
        self.actions: list[do.Action] = self.agent.start(0.0)

    def feed(self, event: e.Event) -> list[do.Action]:
        """The actions for this event alone."""
        actions = self.agent.handle(event, self.now)
        self.actions += actions
        return actions

    def receive(self, message: m.Message | m.UnknownMessage) -> list[do.Action]:
        return self.feed(e.ControlReceived(message))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.agent.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.feed(e.TimerFired())
        self.now = end

    def done(self, kind: type[_Action]) -> list[_Action]:
        return [action for action in self.actions if isinstance(action, kind)]

    def messages(self) -> list[m.Message]:
        return [action.message for action in self.done(do.SendMessage)]

    def notices(self) -> list[note.Notice]:
        return [action.notice for action in self.done(do.Tell)]

    def announces(self) -> list[Announce]:
        """Every announce so far."""
        sent = [each.datagram for each in self.done(do.SendDatagram)]
        return [each for each in sent if isinstance(each, Announce)]

    def answer_announce(self) -> list[do.Action]:
        """The server's answer to the last announce."""
        answer = signed(Announced(self.announces()[-1].number, US), self.key())
        return self.feed(e.DatagramArrived(answer, SERVER, self.generation()))

    def generation(self) -> int:
        return self.done(do.OpenUdp)[-1].generation

    def registered(self) -> Rig:
        self.feed(e.ControlOpened())
        self.receive(m.Registered(1, 2, 20.0))
        return self

    def offer(self) -> Offer:
        """What the server knows of this host, with the key of its newest socket."""
        (first, *_), last = [
            [each for each in self.messages() if isinstance(each, kind)]
            for kind in (m.Register, m.Register | m.SocketOpened | m.Retry)
        ]
        newest = last[-1]
        public = newest.offer.public if isinstance(newest, m.Register) else newest.public
        assert isinstance(first, m.Register)
        return replace(first.offer, public=public)

    def round(
        self, role: m.Role = m.Role.A, *, attempt: int = 1, token: bytes = TOKEN
    ) -> m.StartRound:
        """The server's word of a round; from now on the peer speaks in it."""
        start = self.peer.start(role, PEER, attempt=attempt, token=token)
        self.voice = self.peer.voice(start, self.offer())
        return start

    def said(self) -> Hello | Confirm | None:
        """The last that this host told the peer in the handshake."""
        said = [each.datagram for each in self.done(do.SendDatagram) if each.destination == PEER]
        return next((each for each in reversed(said) if isinstance(each, Hello | Confirm)), None)

    def key(self) -> bytes:
        """That this host has registered with."""
        (first, *_) = [each for each in self.messages() if isinstance(each, m.Register)]
        return first.key

    def hello(self, step: int) -> Hello:
        """The peer's, to what it has heard."""
        said = self.said()
        return self.voice.hello(step, to=US, echo=said.nonce if said else NO_ECHO)

    def confirm(self, *, wanted: bool = False) -> Confirm:
        said = self.said()
        return self.voice.confirm(to=US, echo=said.nonce if said else NO_ECHO, wanted=wanted)

    def punching(self, role: m.Role = m.Role.A) -> Rig:
        self.registered()
        self.receive(self.round(role))
        assert self.is_in(PathState.PUNCHING)
        return self

    def established(self) -> Rig:
        self.punching()
        self.receive(m.SendHello(1, 1, 1, 1))
        self.hear(self.hello(2))
        self.hear(self.confirm())
        assert self.is_in(PathState.ESTABLISHED)
        return self

    def hear(self, datagram: Datagram, source: Endpoint = PEER) -> list[do.Action]:
        return self.feed(e.DatagramArrived(datagram, source, self.generation()))

    def is_in(self, state: PathState) -> bool:
        return self.agent.peers["host_b"].state is state
