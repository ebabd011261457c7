"""A server with a clock of its own, and two hosts at it, event by event."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Announced
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer
from tests.unit.counterpart import an_announce, an_offer, some_keys

_Message = TypeVar("_Message", bound=m.Message)
SETTINGS = ServerSettings()
HERE = e.LocalAddress("192.0.2.2")
A, B = 1, 2
ADDRESS = {A: Endpoint("203.0.113.2", 40_000), B: Endpoint("198.51.100.2", 40_000)}
NAME = {A: "host_a", B: "host_b"}
(NEXT_KEY,) = some_keys("the next connection")
KEY = dict(zip((A, B), some_keys("host_a", "host_b"), strict=True))


def public_of(connection: int, generation: int) -> bytes:
    """The ephemeral key of a host's socket."""
    return an_offer(f"{connection} {generation}").public


def offer_of(connection: int, generation: int = 1) -> Offer:
    return replace(an_offer(NAME[connection]), public=public_of(connection, generation))


class Rig:
    """A server with a clock of its own; collects what it sends to whom."""

    def __init__(self, settings: ServerSettings = SETTINGS) -> None:
        self.now = 0.0
        self.machine = StandaloneServer(rng=random.Random(0), settings=settings)
        self.messages: dict[int, list[m.Message]] = {A: [], B: []}
        self.number = {A: 0, B: 0}
        """Of each host's last announce."""
        self.answers: list[tuple[Announced, Endpoint]] = []
        self.closed: list[int] = []
        self.notices: list[note.Notice] = []

    def feed(self, event: e.Event) -> None:
        for action in self.machine.handle(event, self.now):
            match action:
                case do.SendMessage(message, connection):
                    self.messages.setdefault(connection, []).append(message)
                case do.SendDatagram(Announced() as answer, destination) if destination:
                    self.answers.append((answer, destination))
                case do.CloseControl(connection):
                    self.closed.append(connection)
                case do.Tell(notice):
                    self.notices.append(notice)
                case _:
                    raise AssertionError(action)

    def wait(self, seconds: float) -> None:
        """Let time pass, with the timers that fall due in it."""
        end = self.now + seconds
        while (at := self.machine.deadline()) is not None and at <= end:
            self.now = at
            self.feed(e.TimerFired())
        self.now = end

    def receive(self, connection: int, message: m.Message) -> None:
        self.feed(e.ControlReceived(message, connection))

    def register(self, connection: int, generation: int = 1) -> None:
        self.feed(e.ControlOpened(connection))
        host, peer = NAME[connection], NAME[A + B - connection]
        register = m.Register(
            1, (2,), host, peer, KEY[connection], generation, offer_of(connection, generation)
        )
        self.receive(connection, register)

    def announce(self, connection: int, generation: int = 1, number: int | None = None) -> None:
        """From the usual address; with the next number unless told otherwise."""
        self.number[connection] = self.number[connection] + 1 if number is None else number
        self.hear(an_announce(KEY[connection], self.number[connection], generation), connection)

    def hear(self, announce: Announce, connection: int) -> None:
        self.feed(e.DatagramArrived(announce, ADDRESS[connection], local=HERE))

    def open_socket(self, connection: int, generation: int) -> None:
        """Obey the order for a fresh socket."""
        public = public_of(connection, generation)
        self.receive(connection, m.SocketOpened(generation, public))
        self.announce(connection, generation)

    def retry(self, connection: int, generation: int) -> None:
        """Want a new attempt, with that socket."""
        self.receive(connection, m.Retry(generation, public_of(connection, generation)))

    def obey(self, connection: int) -> None:
        """Say that the last HELLO ordered was sent."""
        order = self.sent(connection, m.SendHello)[-1]
        self.receive(connection, m.HelloSent(order.transaction))

    def sent(self, connection: int, kind: type[_Message]) -> list[_Message]:
        return [each for each in self.messages[connection] if isinstance(each, kind)]

    def registered_pair(self) -> Rig:
        for connection in (A, B):
            self.register(connection)
        return self

    def round_begun(self) -> Rig:
        self.registered_pair()
        for connection in (A, B):
            self.announce(connection)
        assert self.sent(A, m.StartRound)
        assert self.sent(B, m.StartRound)
        return self

    def connected(self) -> Rig:
        self.round_begun()
        for connection in (A, B, A):
            self.obey(connection)
        for connection in (A, B):
            self.receive(connection, m.Established(1, 1))
        assert isinstance(self.notices[-1], note.PairConnected)
        return self

    def failed(self) -> Rig:
        """B's announce never came."""
        self.registered_pair()
        self.announce(A)
        self.wait(SETTINGS.ask_after)
        self.receive(B, m.HeartbeatAnswer(self.sent(B, m.Heartbeat)[-1].transaction))
        self.wait(SETTINGS.gather_within - SETTINGS.ask_after)
        assert self.sent(A, m.Failed)[-1].code == "udp-blocked"
        return self
