"""Both machines against whatever a liar on the other side can say, from any state that a walk leads to.

An input is one event that an adapter could hand in. The machine may raise nothing, and each action has to be one that can be
carried out: it has an encoding, and names a socket or a connection that there is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from nat_traversal.errors import WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.wire import control, datagrams
from nat_traversal.wire.datagrams import FRAMES, PROGRAMS, Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.exploration.fuzz.inputs import octets
from tests.exploration.fuzz.messages import ADDRESSES, Messages
from tests.exploration.walks.processes import SERVER
from tests.exploration.walks.wire import Link, Mark
from tests.exploration.walks.world import Walk

PER_WALK = 400
"""Inputs to each machine from one state."""
FARTHEST = 80
"""Steps of a walk until the liar begins."""
_PLAIN = (
    b"",
    bytes(8),
    b"\0\1\0\1",
    b"\0\1\0\0\1\0\1" + bytes(36),
    b"\0\1\0\0\2\0\1" + bytes(36),
    bytes(500),
)


class LinkState(Enum):
    """Of the client's control connection, as its adapter knows it."""

    NONE = auto()
    OPENING = auto()
    OPEN = auto()


def _state_of(link: Link | None) -> LinkState:
    if link is None:
        return LinkState.NONE
    return LinkState.OPENING if Mark.OPENED in (link.down or ()) else LinkState.OPEN


class Machines:
    """A client and a server in the state of a walk, and then another."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._messages = Messages(rng)
        self._left = 0
        self.client_input()  # so that there is a first state
        self.targets = {"client": (100, self.client_input), "server": (100, self.server_input)}

    def _begin(self) -> None:
        rng = self._rng
        walk = Walk(rng.getrandbits(32), filtered=rng.random() < 0.5)
        for _ in range(rng.randrange(FARTHEST)):
            for link in walk.links.values():
                for item in (*(link.up or ()), *(link.down or ())):
                    if isinstance(item, bytes):
                        self._messages.learn(control.decode(item[:-1]))
            walk.go_on()
        self._seen = [flight.octets for flight in walk.seen] or [b"x"]
        self._now = walk.clock.now
        client = rng.choice(list(walk.clients.values()))
        self._agent = client.agent
        self._sockets = set(client.sockets) | set(client.paths)
        self._paths = set(client.paths)
        self._link = _state_of(client.link)
        self._latest: list[do.Action] = []
        self._missing: set[int] = set()
        """Sockets that could not be opened: the adapter drops what is sent by one."""
        self._server = walk.server.rendezvous
        self._connections = {host.connection for host in self._server.hosts}
        self._streams: set[int] = set()
        self._last = 1000
        self._left = 2 * PER_WALK

    def _next(self) -> None:
        if self._left <= 0:
            self._begin()
        self._left -= 1
        if self._rng.randrange(8) == 0:
            self._now += self._rng.choice([0.01, 0.3, 1.0, 5.0, 30.0])

    # The client

    def client_input(self) -> str:
        self._next()
        if self._agent.is_closed():
            self._begin()
        event = self._client_event()
        actions = self._agent.handle(event, self._now)
        self._latest = actions
        for action in actions:
            self._check_client(action)
        return _name(event, actions)

    def _client_event(self) -> e.Event:
        rng, deadline = self._rng, self._agent.deadline()
        generation = rng.choice([*self._sockets, 1, 2, 3])
        if self._latest and rng.randrange(30) == 0:
            failed = rng.choice(self._latest)
            if isinstance(failed, do.OpenUdp):
                self._sockets.discard(failed.generation)
                self._missing.add(failed.generation)
            return e.ActionFailed(failed, "why", rng.random() < 0.5)
        if self._link is LinkState.OPENING and rng.randrange(3) == 0:
            self._link = rng.choice([LinkState.OPEN, LinkState.OPEN, LinkState.NONE])
            is_open = self._link is LinkState.OPEN
            return e.ControlOpened(remote=SERVER) if is_open else e.ControlBroken("why")
        if self._link is LinkState.OPEN and rng.randrange(100) == 0:
            self._link = LinkState.NONE
            return e.ControlBroken("why") if rng.random() < 0.5 else e.ControlGarbled("why")
        kinds = sorted(FRAMES - PROGRAMS)
        choices: list[Callable[[], e.Event]] = [
            lambda: e.FrameOpened(Kind(rng.choice(kinds)), octets(rng, _PLAIN), generation),
            lambda: e.PeerElsewhere(SERVER, Kind(rng.choice(kinds)), generation),
            lambda: e.FrameRefused(rng.choice([500, 548, 1472]), generation),
            lambda: e.LargerFramesSent(generation),
            lambda: e.DatagramsOffered(generation),
            e.Woke,
            lambda: e.NetworkChanged(frozenset({generation}), rng.random() < 0.5),
            lambda: e.ServiceChanged(rng.random() < 0.5),
            lambda: e.TurnOpened(generation, Endpoint(rng.choice(ADDRESSES), 40_001)),
            lambda: e.TurnBroken(generation, "why"),
        ]
        match rng.randrange(10):
            case 0 | 1 | 2 | 3 if self._link is LinkState.OPEN:
                return e.ControlReceived(self._messages.make())
            case 4 | 5 | 6:
                return self._datagram(generation)
            case 7 if deadline is not None:
                self._now = max(self._now, min(deadline, self._now + 60.0))
                return e.TimerFired()
            case 8 if rng.randrange(200) == 0:
                return e.StopRequested()
        return rng.choice(choices)()

    def _check_client(self, action: do.Action) -> None:
        match action:
            case do.OpenUdp(generation) | do.OpenStream(generation) | do.OpenTurn(generation):
                assert generation not in self._sockets, action
                self._sockets.add(generation)
            case do.CloseUdp(generation):
                self._sockets.discard(generation)
                self._paths.discard(generation)
            case do.SendDatagram(datagram, _, generation):
                assert generation in self._sockets | self._missing, action
                datagrams.encode(datagram)
            case do.UsePath(generation):
                assert generation in self._sockets - self._paths, action
                self._paths.add(generation)
            case (
                do.SelectPath(generation)
                | do.RedirectPath(generation)
                | do.SizeFrames(generation)
                | do.SendFrame(_, _, generation)
            ):
                assert generation in self._paths, action
            case do.OpenControl():
                assert self._link is LinkState.NONE, action
                self._link = LinkState.OPENING
            case do.CloseControl():
                self._link = LinkState.NONE
            case do.SendMessage(message):
                assert self._link is LinkState.OPEN, action
                control.encode(message)

    # The server

    def server_input(self) -> str:
        self._next()
        event = self._server_event()
        actions = self._server.handle(event, self._now)
        answered = 0
        ids = [host.member.id for host in self._server.hosts if host.member is not None]
        assert len(ids) == len(set(ids)), f"two holders: {ids}"
        for action in actions:
            self._check_server(action)
            if isinstance(action, do.SendDatagram) and isinstance(event, e.DatagramArrived):
                is_answer = action.destination == event.source
                answered += len(datagrams.encode(action.datagram)) if is_answer else 0
        if isinstance(event, e.DatagramArrived):
            assert answered <= len(datagrams.encode(event.datagram)), event
        return _name(event, actions)

    def _server_event(self) -> e.Event:
        rng, deadline = self._rng, self._server.deadline()
        choice = rng.randrange(12)
        if choice == 0 or not self._connections:
            self._last += 1
            self._connections.add(self._last)
            return e.ControlOpened(self._last, Endpoint(rng.choice(ADDRESSES), 5))
        connection = rng.choice(sorted(self._connections))
        if choice == 1 and rng.randrange(4) == 0:
            if rng.random() < 0.5:
                return e.ControlGarbled("why", connection)
            self._connections.remove(connection)
            self._streams.discard(connection)
            return e.ControlBroken("why", connection)
        if choice == 2 and deadline is not None:
            self._now = max(self._now, min(deadline, self._now + 60.0))
            return e.TimerFired()
        if choice == 3 and rng.randrange(2000) == 0:
            return e.DrainRequested()
        if connection in self._streams:
            return e.StreamArrived(self._datagram(0).datagram, connection)
        if choice < 8:
            return e.ControlReceived(self._messages.make(), connection)
        return self._datagram(0)

    def _check_server(self, action: do.Action) -> None:
        match action:
            case do.SendMessage(message):  # the adapter drops what is for one that has gone
                control.encode(message)
                self._messages.learn(message)
            case do.CloseControl(connection):
                self._connections.discard(connection)
                self._streams.discard(connection)
            case do.UseStream(connection):
                assert connection in self._connections, action
                self._streams.add(connection)
            case do.SendOnStream(datagram, connection):
                assert connection in self._streams, action
                datagrams.encode(datagram)
            case do.SendDatagram(datagram, destination):
                assert destination is not None
                datagrams.encode(datagram)

    def _datagram(self, generation: int) -> e.DatagramArrived:
        rng = self._rng
        while True:
            try:
                found = datagrams.decode(octets(rng, self._seen))
            except WireError:
                continue
            address = rng.choice(ADDRESSES[:4])
            source = Endpoint(address, rng.choice([6545, 40_001, 40_002, 40_003]))
            local = e.LocalAddress(SERVER.address)
            return e.DatagramArrived(found, source, generation, local)


def _name(event: e.Event, actions: list[Any]) -> str:
    what: object = event.message if isinstance(event, e.ControlReceived) else event
    if isinstance(event, e.DatagramArrived):
        what = event.datagram
    acted = (
        "acted on"
        if any(not isinstance(each, do.Tell | do.Count) for each in actions)
        else "nothing done"
    )
    return f"{type(what).__name__}, {acted}"
