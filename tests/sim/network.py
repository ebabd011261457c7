"""UDP between hosts behind model NATs: real octets, delay, and weather."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from nat_traversal.wire.datagrams import Datagram, decode
from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.model import Admission, ModelNat, NoRoomError
from natlab.presets import preset
from tests.sim.clock import Clock

LAN = 1 / 4096
"""Seconds between two hosts behind one NAT."""
HELD_BACK = 0.25
"""Seconds by which a reordered datagram is late."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities from 0 to 1, and seconds. Hits UDP only, on the way between the NATs."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """Of a datagram that is held back for `HELD_BACK`."""
    jitter: float = 0.0
    """Most seconds that are added to any way."""
    segments: bool = False
    """TCP segments are cut anywhere, and jittered."""


CALM = Weather()


@dataclass(eq=False, slots=True)
class Packet:
    """One datagram as it was sent, and what became of it (twice, if the network doubled it)."""

    sent_at: float
    sender: str
    socket: Endpoint
    """The sending socket, inside."""
    source: Endpoint
    """The same as its NAT shows it."""
    destination: Endpoint
    datagram: Datagram
    arrivals: list[tuple[float, str, Admission]] = field(default_factory=list)
    """When, at whose NAT, with which admission."""
    receivers: list[tuple[float, Endpoint]] = field(default_factory=list)
    """When, at which open socket, inside."""


decoded = lru_cache(1024)(decode)
"""What octets mean, which are decoded where they leave, and mean the same where they arrive a moment later."""
Receive = Callable[[bytes, Endpoint], None]
"""Octets and their source."""


class Host:
    """A host behind its NAT (or, with the preset `none`, on the public network)."""

    def __init__(self, name: str, nat: str, public: str, inside: str, rng: random.Random) -> None:
        behavior = preset(nat).behavior
        self.name = name
        self._rng = rng
        self.nat = ModelNat(behavior, public, rng)
        self.left: list[ModelNat] = []
        """The one before, by which nothing leaves any more."""
        self.address = inside if behavior else public
        self.router = inside.rpartition(".")[0] + ".1"
        """Its NAT's address towards it."""
        self.udp_blocked = False
        self.router_takes = LAN
        """Seconds until the router has led a port to a socket, if it does."""
        self.dead: tuple[str, ...] = ()
        """Addresses of further interfaces, IPv4 or IPv6, by which nobody reaches it."""
        self.ipv6 = ""
        """Its address there; empty: it has none. Its sockets have their ports there too, behind a stateful firewall."""
        self.spoke_to: set[tuple[Endpoint, Endpoint]] = set()
        """What that firewall lets in: the own endpoints and those to which they spoke."""
        self.router_lies = False
        """Whether it says so, and has not."""
        self.farther = 0.0
        """Seconds that its control connection's way to the server takes more than those of others."""
        self.is_full = False
        """Whether there is no room for one more socket."""
        self.sockets: dict[Endpoint, Receive] = {}
        self.hop_told: dict[Endpoint, Callable[[str], None]] = {}
        """By socket: what is told of the router at which a datagram of it has ended."""
        self._ports = (40_000 + 7_919 * index % 25_000 for index in range(25_000))
        """As kernels give them: in no order that a NAT's sequence could be taken for."""

    def open(self, receive: Receive) -> Endpoint:
        self.check_room()
        socket = Endpoint(self.address, next(self._ports))
        self.sockets[socket] = receive
        return socket

    def leads_to(self, destination: Endpoint) -> Endpoint | None:
        """Where a datagram goes once it has left the host; None: to nobody."""
        return destination

    def nat_at(self, address: str) -> ModelNat | None:
        """That of its NATs which has this address outside."""
        if self.nat.public_address == address:
            return self.nat
        for nat in self.left:
            if nat.public_address == address:
                return nat
        return None

    def move(self, nat: str, public: str, inside: str, *, keeps: bool) -> None:
        """To another network. All that comes to the old one still arrives if the host `keeps` it."""
        behavior = preset(nat).behavior
        self.left = [self.nat] if keeps else []
        self.nat = ModelNat(behavior, public, self._rng)
        self.address = inside if behavior else public

    def check_room(self) -> None:
        """Raises what a kernel says where there is no room for one more socket."""
        if self.is_full:
            raise OSError(errno.EMFILE, "Too many open files")


class Network:
    """Carries datagrams between `hosts` and the server; `log` is the ground truth."""

    def __init__(
        self, clock: Clock, rng: random.Random, r: float, p: float, weather: Weather
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self.server_sockets: dict[Endpoint, Receive] = {}
        self.log: list[Packet] = []
        self.drops: list[Callable[[Packet], bool]] = []
        """A packet for which one of these is true is lost on the way between the NATs."""
        self.overtaken_by: Callable[[Packet, bytes], Iterable[bytes]] = lambda *_: ()
        """What an attacker on the way sends ahead of each datagram, with its very source and destination."""
        self.copied_by: Callable[[Packet], Iterable[Endpoint]] = lambda _: ()
        """From where an attacker on the way sends a copy of each datagram, which comes first."""
        self.weather = weather
        self.routers: tuple[str, ...] = ()
        """The addresses of those on the way from one NAT to the other, for `host_a` in this order."""
        self.silent_routers: frozenset[str] = frozenset()
        """Those that send no ICMP errors."""
        self._clock = clock
        self._rng = rng
        self._to_server = r / 2
        self._to_peer = p / 2

    def drop(self, matches: Callable[[Packet], bool], nth: int | None = None) -> None:
        """Lose what matches: the `nth` such packet (from 1), or all of them."""
        seen = 0

        def is_hit(packet: Packet) -> bool:
            nonlocal seen
            if not matches(packet):
                return False
            seen += 1
            return nth is None or seen == nth

        self.drops.append(is_hit)

    def send_from_host(
        self, host: Host, socket: Endpoint, destination: Endpoint, data: bytes, hops: int = 0
    ) -> None:
        """`hops`: at which it ends, if the way is as long as that; 0: at none."""
        if host.udp_blocked or socket.address != host.address:
            return  # there is no way, or none from there any more
        leads = host.leads_to(destination)
        if leads is None:
            return
        destination = leads
        to_nat = 0 if host.nat.behavior is None else 1
        if hops and hops <= to_nat:
            self._tell_hop(host, socket, host.router, LAN)
            return
        packet = Packet(self._clock.now, host.name, socket, socket, destination, decoded(data))
        if host.ipv6 and destination.family == 6:
            packet.source = Endpoint(host.ipv6, socket.port)
            host.spoke_to.add((packet.source, destination))
            self._send(packet, data)
            return
        if self._crosses_lan(host, packet, data):
            return
        try:
            packet.source = host.nat.outbound(socket, destination, self._clock.now)
        except NoRoomError:
            return
        if 0 < hops - to_nat <= len(self.routers):
            self._ends_on_its_way(host, packet, hops - to_nat)
            return
        self._send(packet, data)

    def _ends_on_its_way(self, host: Host, packet: Packet, hop: int) -> None:
        """At the router number `hop` of those between the NATs, whose word of it may be lost as the packet may."""
        self.log.append(packet)
        if self._is_lost(packet) or self._rng.random() < self.weather.loss:
            return
        routers = self.routers if host.name == "host_a" else self.routers[::-1]
        there_and_back = 2 * self._to_peer * hop / (len(routers) + 1)
        self._tell_hop(host, packet.socket, routers[hop - 1], there_and_back)

    def _tell_hop(self, host: Host, socket: Endpoint, router: str, after: float) -> None:
        told = host.hop_told.get(socket)
        if told is not None and router not in self.silent_routers:
            self._clock.at(self._clock.now + after, lambda: told(router))

    def _is_lost(self, packet: Packet) -> bool:
        hit = sum(drop(packet) for drop in self.drops) > 0  # every counter has to count
        return hit or self._rng.random() < self.weather.loss

    def _crosses_lan(self, host: Host, packet: Packet, data: bytes) -> bool:
        """Whether it goes to a host behind the same NAT, by the LAN or by the NAT's hairpin; then it is on its way."""
        destination = packet.destination
        neighbours = [each for each in self.hosts.values() if each.nat is host.nat]
        if len(neighbours) == 1 and destination not in host.sockets:
            return False
        inside = destination
        if destination.address == host.nat.public_address and len(neighbours) > 1:
            shown, verdict = host.nat.hairpin(packet.socket, destination, self._clock.now)
            packet.source, inside = shown, verdict.internal or destination
        elif not any(destination in each.sockets for each in neighbours):
            return destination.address in {each.address for each in neighbours if each is not host}
        else:
            packet.source = packet.socket
        self.log.append(packet)
        there = next((each.sockets for each in neighbours if inside in each.sockets), None)
        if there is not None:
            at = self._clock.now + LAN
            self._clock.at(at, lambda: self._deliver(packet, inside, there[inside], data))
        return True

    def send_from_server(self, socket: Endpoint, destination: Endpoint, data: bytes) -> None:
        packet = Packet(self._clock.now, "server", socket, socket, destination, decoded(data))
        self._send(packet, data)

    def _send(self, packet: Packet, data: bytes) -> None:
        self.log.append(packet)
        lost = sum([drop(packet) for drop in self.drops]) > 0  # every counter has to count
        weather, rng = self.weather, self._rng
        at_server = packet.sender == "server" or packet.destination in self.server_sockets
        copies = 1 + (rng.random() < weather.duplication)
        for _ in range(copies):
            if lost or rng.random() < weather.loss:
                continue
            delay = self._to_server if at_server else self._to_peer
            if weather.jitter:
                delay += rng.uniform(0.0, weather.jitter)
            if rng.random() < weather.reordering:
                delay += HELD_BACK
            self._clock.at(self._clock.now + delay, lambda: self._arrive(packet, data))

    def _owner(self, address: str) -> Host | None:
        for host in self.hosts.values():
            if address == host.ipv6 or host.nat_at(address) is not None:
                return host
        return None

    def _arrive(self, packet: Packet, data: bytes) -> None:
        now, destination = self._clock.now, packet.destination
        server = self.server_sockets.get(destination)
        if server is not None:
            self._deliver(packet, destination, server, data)
            return
        host = self._owner(destination.address)
        if host is None or host.udp_blocked:
            return
        if destination.family == 6:
            self._arrive_by_ipv6(host, packet, data)
            return
        nat = host.nat_at(destination.address)
        assert nat is not None
        verdict = nat.judge(packet.source, destination, now)
        packet.arrivals.append((now, host.name, verdict.admission))
        inside = verdict.internal
        if inside is None:
            return
        for behind in self.hosts.values():
            receive = behind.sockets.get(inside)
            if receive is not None and (nat is behind.nat or nat in behind.left):
                self._deliver(packet, inside, receive, data)

    def _arrive_by_ipv6(self, host: Host, packet: Packet, data: bytes) -> None:
        if (packet.destination, packet.source) not in host.spoke_to:
            return
        for inside, receive in list(host.sockets.items()):
            if inside.port == packet.destination.port:
                self._deliver(packet, inside, receive, data)

    def _deliver(self, packet: Packet, socket: Endpoint, receive: Receive, data: bytes) -> None:
        packet.receivers.append((self._clock.now, socket))
        for forged in self.overtaken_by(packet, data):
            receive(forged, packet.source)
        for source in self.copied_by(packet):
            receive(data, source)
        receive(data, packet.source)
