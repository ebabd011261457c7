"""Three machines and the network between them as one value, and every step that can follow.

Every way has a delay of its own that may change at any time: nothing is said of what comes first of two
things on different ways. A fault is one of: a datagram is lost, is overtaken on its own way, arrives and
arrives again later, or comes from a stranger who has copied it; a timer is faster than what is on its way; a
control connection breaks, for both ends or for the client's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Confirm, Hello, Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.exploration.machines import SERVER, A, B, Machines
from tests.exploration.values import (
    Begin,
    Link,
    Numbered,
    Packet,
    Rules,
    Step,
    World,
    WrongError,
)

AT_SERVER = Endpoint("192.0.2.2", 6545)
_HERE = e.LocalAddress(AT_SERVER.address)
_HOME = {A: "203.0.113.2", B: "198.51.100.2"}
_CLIENT_AT = {address: client for client, address in _HOME.items()}
STRANGER = Endpoint("192.0.2.66", 666)
_FIRST_PORT = 40_000
T = TypeVar("T")


class Explorer:
    """Steps of worlds by the machines' own rules. Raises `WrongError` where something must not be."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.machines = Machines()
        self._events = Numbered[e.Event]()
        self._packets = Numbered[Packet]()
        self._ways = Numbered[tuple[Endpoint, Endpoint]]()

    def first(self) -> World:
        states, wanted = self.machines.first()
        nothing = (0, 0, 0)
        none: frozenset[int] = frozenset()
        world = World(
            (states[0], states[1], states[2]), 0.0, (), nothing, ((), (), ()), ((),) * 9, (), none,
            frozenset(), frozenset(),
            (b"", b"", b""),
        )  # fmt: skip
        world = self._act(world, A, wanted[A], b"")
        if self.rules.begin is not Begin.COLD:
            world = self._in_order(world, self._is_quiet)
        world = self._act(world, B, wanted[B], b"")
        if self.rules.begin is Begin.ROUND:
            world = self._in_order(world, self._has_begun)
        return world

    def _in_order(self, world: World, is_there: Callable[[World], bool]) -> World:
        """What comes of a world if everything arrives in order, until `is_there`."""
        while not is_there(world):
            world = next(self.steps(world)).after
        return world

    def _has_begun(self, world: World) -> bool:
        waiting = (self._events[each] for link in world.links for each in link.down or ())
        return any(
            isinstance(each, e.ControlReceived) and isinstance(each.message, m.StartRound)
            for each in waiting
        )

    def is_over(self, world: World) -> bool:
        """The attempt has ended the same way for all three."""
        phases = {self.phase(world, client) for client in (A, B)}
        session = self.machines.facts(world.states[SERVER]).session
        return (phases, session) in (({"ESTABLISHED"}, "CONNECTED"), ({"IDLE"}, "IDLE"))

    def phase(self, world: World, client: int) -> str:
        return self.machines.facts(world.states[client]).phase

    def steps(self, world: World, *, faults: bool = True) -> Iterator[Step]:
        """Every step that can follow, with or without `faults`."""
        kinds = self.rules.kinds if faults else frozenset[str]()
        for index, link in enumerate(world.links):
            if link.up:
                yield Step(self._said("up", link.up[0]), False, self._up(world, index, link))
            if link.down:
                yield Step(self._said("down", link.down[0]), False, self._down(world, index, link))
        for way, queue in enumerate(world.queues):
            if queue:
                yield from self._packet_steps(world, way, queue, kinds)
        for number in dict.fromkeys(world.astray):
            without = world._replace(astray=_without(world.astray, number))
            packet = self._packets[number]
            yield Step(f"at last {_name(packet)}", False, self._deliver(without, packet))
        for client, generation, tag in world.paths:
            if tag == world.claims[A + B - client] != world.claims[client]:
                ping = e.FrameOpened(Kind.PING, b"a number", generation)
                yield Step(f"ping {client}", False, self._feed(world, client, ping))
        yield from self._timer_steps(world, kinds)
        for kind in {"break", "cut"} & kinds:
            for client in (A, B):
                if world.current[client]:
                    after = self._break(world, client, both=kind == "break")
                    yield Step(f"{kind} {client}", True, after)

    def _said(self, way: str, number: int) -> str:
        event = self._events[number]
        what = event.message if isinstance(event, e.ControlReceived) else event
        return f"{way} {type(what).__name__}"

    # Control connections

    def _up(self, world: World, index: int, link: Link) -> World:
        assert link.up
        event, rest = self._events[link.up[0]], link.up[1:]
        ended = isinstance(event, e.ControlBroken)
        world = _with_link(world, index, link._replace(up=None if ended else rest))
        return self._feed(world, SERVER, event)

    def _down(self, world: World, index: int, link: Link) -> World:
        assert link.down
        event, rest = self._events[link.down[0]], link.down[1:]
        ended = isinstance(event, e.ControlBroken)
        world = _with_link(world, index, link._replace(down=None if ended else rest))
        if ended:
            world = world._replace(current=_put(world.current, link.client, 0))
        return self._feed(world, link.client, event)

    def _break(self, world: World, client: int, *, both: bool) -> World:
        """As a reset: both ends learn it, each in its time, and nothing else comes before that. Or only the
        client does, and the server's end hears nothing any more."""
        number = world.current[client]
        there = (self._events.number(e.ControlBroken("reset", number)),) if both else ()
        here = (self._events.number(e.ControlBroken("reset")),)
        links = tuple(
            each._replace(up=None if each.up is None else there, down=here)
            if each.number == number
            else each
            for each in world.links
        )
        return world._replace(links=links)

    # Datagrams

    def _packet_steps(
        self, world: World, way: int, queue: tuple[int, ...], kinds: frozenset[str]
    ) -> Iterator[Step]:
        packet = self._packets[queue[0]]
        name = _name(packet)
        without = world._replace(queues=_changed(world.queues, way, queue[1:]))
        astray = without._replace(astray=_with(world.astray, queue[0]))
        yield Step(f"deliver {name}", False, self._deliver(without, packet))
        if "lose" in kinds:
            yield Step(f"lose {name}", True, without)
        if "delay" in kinds:
            yield Step(f"delay {name}", True, astray)
        if "double" in kinds:
            yield Step(f"double {name}", True, self._deliver(astray, packet))
        if "copy" in kinds and not self.rules.filtered:
            copied = packet._replace(source=STRANGER)
            yield Step(f"copy {name}", True, self._deliver(world, copied))

    def _deliver(self, world: World, packet: Packet) -> World:
        source, destination, datagram = packet
        if destination == AT_SERVER:
            event = e.DatagramArrived(datagram, source, local=_HERE)
            return self._feed(world, SERVER, event)
        client = _CLIENT_AT.get(destination.address)
        generation = destination.port - _FIRST_PORT
        if client is None or generation not in world.sockets[client]:
            return world
        way = self._ways.number((destination, source))
        if self.rules.filtered and way not in world.opened:
            return world
        tag = b""
        if isinstance(datagram, Hello | Confirm):
            tag = datagram.tag
            if source.address == _HOME[A + B - client]:
                world = world._replace(heard=world.heard | {(client, tag)})
        event = e.DatagramArrived(datagram, source, generation)
        return self._feed(world, client, event, tag)

    # Time

    def _timer_steps(self, world: World, kinds: frozenset[str]) -> Iterator[Step]:
        is_late = not self._is_quiet(world)
        if is_late and "late" not in kinds:
            return
        deadlines = {
            machine: deadline
            for machine, state in enumerate(world.states)
            if (deadline := self.machines.facts(state).deadline) is not None
        }
        if not deadlines:
            return
        first = min(deadlines.values())
        for machine, deadline in deadlines.items():
            if deadline == first:
                then = world._replace(now=max(world.now, first))
                yield Step(f"timer {machine}", is_late, self._feed(then, machine, e.TimerFired()))

    def _is_quiet(self, world: World) -> bool:
        on_links = any(link.up or link.down for link in world.links)
        return not on_links and not world.astray and not any(world.queues)

    # Machines

    def _feed(self, world: World, machine: int, event: e.Event, tag: bytes = b"") -> World:
        state, actions = self.machines.step(world.states[machine], event, world.now)
        world = world._replace(states=_put(world.states, machine, state))
        if machine == SERVER:
            holders = self.machines.facts(state).holders
            if len(set(holders)) != len(holders):
                raise WrongError(f"two holders of an id: {holders}")
        return self._act(world, machine, actions, tag)

    def _act(self, world: World, machine: int, actions: list[do.Action], tag: bytes) -> World:
        for action in actions:
            if machine == SERVER:
                world = self._server_acts(world, action)
            else:
                world = self._client_acts(world, machine, action, tag)
        return world

    def _client_acts(self, world: World, client: int, action: do.Action, tag: bytes) -> World:
        match action:
            case do.OpenControl():
                number = 1 + max((link.number for link in world.links), default=0)
                up = self._events.number(e.ControlOpened(number, Endpoint(_HOME[client], 50_000)))
                down = self._events.number(e.ControlOpened(remote=AT_SERVER))
                links = (*world.links, Link(number, client, (up,), (down,)))
                return world._replace(links=links, current=_put(world.current, client, number))
            case do.CloseControl():
                number = world.current[client]
                world = world._replace(current=_put(world.current, client, 0))
                return self._closed(world, number, by_client=True)
            case do.SendMessage(message):
                number = world.current[client]
                received = e.ControlReceived(message, number)
                return self._written(world, number, received, to_server=True)
            case do.OpenUdp(generation):
                sockets = (*world.sockets[client], generation)
                return world._replace(sockets=_put(world.sockets, client, sockets))
            case do.CloseUdp(generation):
                left = tuple(each for each in world.sockets[client] if each != generation)
                gone = {each for each in world.paths if each[:2] == (client, generation)}
                if any(tag == world.claims[client] for _, _, tag in gone):
                    world = world._replace(claims=_put(world.claims, client, b""))
                socket = _socket(client, generation)
                opened = frozenset(way for way in world.opened if self._ways[way][0] != socket)
                closed = world._replace(
                    sockets=_put(world.sockets, client, left),
                    paths=world.paths - gone,
                    opened=opened,
                )
                return self._without_packets_to(closed, socket)
            case do.SendDatagram(datagram, destination, generation):
                if generation not in world.sockets[client]:
                    raise WrongError(f"{client} sends from a closed socket: {action}")
                to = destination or AT_SERVER
                return self._sent(world, Packet(_socket(client, generation), to, datagram))
            case do.UsePath(generation, remote):
                return self._stands(world, client, generation, remote, tag)
            case do.Tell(note.PathEstablished(generation=generation)):
                (tag,) = (each[2] for each in world.paths if each[:2] == (client, generation))
                return world._replace(claims=_put(world.claims, client, tag))
            case do.Tell(note.ServerLost(reason)) if "server" in reason:
                raise WrongError(f"{client} takes an honest server for a liar: {reason}")
        return world

    def _without_packets_to(self, world: World, socket: Endpoint) -> World:
        """That socket was closed: what is on its way there changes nothing."""

        def kept(packets: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(each for each in packets if self._packets[each].destination != socket)

        queues = tuple(map(kept, world.queues))
        return world._replace(queues=queues, astray=kept(world.astray))

    def _stands(
        self, world: World, client: int, generation: int, remote: Endpoint, tag: bytes
    ) -> World:
        """A client says that a path stands: have both heard each other on it?"""
        other = A + B - client
        if (client, tag) not in world.heard:
            raise WrongError(f"{client} claims a path in a round in which it has heard nothing")
        if (other, tag) not in world.heard:
            raise WrongError(f"{client} claims a path in a round in which nobody has heard it")
        if remote.address != _HOME[other]:
            raise WrongError(f"{client} claims a path to {remote}, where its peer never was")
        if generation not in world.sockets[client]:
            raise WrongError(f"{client} claims a path on a closed socket")
        return world._replace(paths=world.paths | {(client, generation, tag)})

    def _server_acts(self, world: World, action: do.Action) -> World:
        match action:
            case do.SendMessage(message, number):
                return self._written(world, number, e.ControlReceived(message), to_server=False)
            case do.CloseControl(number):
                return self._closed(world, number, by_client=False)
            case do.SendDatagram(datagram, destination) if destination is not None:
                return self._sent(world, Packet(AT_SERVER, destination, datagram))
        return world

    def _sent(self, world: World, packet: Packet) -> World:
        way = 3 * _machine_at(packet.source) + _machine_at(packet.destination)
        queue = (*world.queues[way], self._packets.number(packet))
        queues = _changed(world.queues, way, queue)
        if packet.source == AT_SERVER:
            return world._replace(queues=queues)
        way = self._ways.number((packet.source, packet.destination))
        opened = world.opened if way in world.opened else world.opened | {way}
        return world._replace(queues=queues, opened=opened)

    def _written(self, world: World, number: int, event: e.Event, *, to_server: bool) -> World:
        links = list(world.links)
        for index, link in enumerate(links):
            queue = link.up if to_server else link.down
            if link.number != number or queue is None:
                continue
            if queue and isinstance(self._events[queue[-1]], e.ControlBroken):
                continue
            longer = (*queue, self._events.number(event))
            links[index] = link._replace(up=longer) if to_server else link._replace(down=longer)
        return world._replace(links=tuple(links))

    def _closed(self, world: World, number: int, *, by_client: bool) -> World:
        """One end closes: the other learns it behind all that is on its way."""
        ended = e.ControlBroken("closed", number if by_client else 0)
        world = self._written(world, number, ended, to_server=by_client)
        links = list(world.links)
        for index, link in enumerate(links):
            if link.number == number:
                links[index] = link._replace(down=None) if by_client else link._replace(up=None)
        return world._replace(links=tuple(links))


def _socket(client: int, generation: int) -> Endpoint:
    return Endpoint(_HOME[client], _FIRST_PORT + generation)


def _with_link(world: World, index: int, link: Link) -> World:
    links = list(world.links)
    links[index] = link
    kept = tuple(each for each in links if each.up is not None or each.down is not None)
    return world._replace(links=kept)


def _put(values: tuple[T, T, T], index: int, value: T) -> tuple[T, T, T]:
    changed = [*values]
    changed[index] = value
    return (changed[0], changed[1], changed[2])


def _machine_at(endpoint: Endpoint) -> int:
    return _CLIENT_AT.get(endpoint.address, SERVER)


def _name(packet: Packet) -> str:
    datagram = packet.datagram
    step = f" {datagram.step}" if isinstance(datagram, Hello) else ""
    return f"{type(datagram).__name__}{step} to {packet.destination}"


def _changed(
    queues: tuple[tuple[int, ...], ...], index: int, queue: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    return (*queues[:index], queue, *queues[index + 1 :])


def _with(packets: tuple[int, ...], packet: int) -> tuple[int, ...]:
    return tuple(sorted((*packets, packet)))


def _without(packets: tuple[int, ...], packet: int) -> tuple[int, ...]:
    index = packets.index(packet)
    return packets[:index] + packets[index + 1 :]
