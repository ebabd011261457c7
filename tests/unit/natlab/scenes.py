"""Synthetic captures: the packets that the lab's links would show of a story told here."""

from __future__ import annotations

from dataclasses import dataclass, field

from nat_traversal.wire import control, messages
from nat_traversal.wire.datagrams import Announce, Confirm, Datagram, Frame, Hello, Kind, encode
from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Icmp, Packet, Protocol, Refused
from natlab.evidence.journey import HOMES, SERVER_LINK, Fate, Home
from natlab.evidence.trace import Trace, reconstruct
from tests.sim.offers import register

A, B = HOMES
HOME_OF = {home.host: home for home in HOMES}
SERVER = Endpoint("192.0.2.2", 6545)
TAGS = {1: b"1" * 8, 2: b"2" * 8}
INSIDE = {"host_a": "10.0.1.2", "host_b": "10.0.2.2"}
OUTSIDE = {"host_a": "203.0.113.2", "host_b": "198.51.100.2"}
HOP = 0.0001


def port_of(host: str, round_: int) -> int:
    return {"host_a": 40_000, "host_b": 50_000}[host] + round_


def inside(host: str, round_: int) -> Endpoint:
    return Endpoint(INSIDE[host], port_of(host, round_))


def outside(host: str, round_: int) -> Endpoint:
    return Endpoint(OUTSIDE[host], port_of(host, round_))


def other(host: str) -> str:
    return "host_b" if host == "host_a" else "host_a"


def number(host: str, round_: int) -> int:
    return 2 * round_ + (host == "host_b")


def roles(round_: int) -> tuple[str, str]:
    return ("host_a", "host_b") if round_ % 2 else ("host_b", "host_a")


@dataclass
class Scene:
    """Writes the packets that a capture of the story would hold. The clock moves with each hop."""

    clock: float = 100.0
    packets: list[Packet] = field(default_factory=list)

    def see(
        self,
        point: str,
        outgoing: bool,
        source: Endpoint,
        destination: Endpoint,
        *,
        payload: bytes = b"",
        protocol: Protocol = Protocol.UDP,
        refused: Refused | None = None,
    ) -> None:
        self.clock += HOP
        self.packets.append(
            Packet(self.clock, point, outgoing, protocol, source, destination, payload, refused)
        )

    def leave(
        self, home: Home, source: Endpoint, destination: Endpoint, payload: bytes, to: Endpoint
    ) -> None:
        """From the host through its NAT, which shows `to` as the source."""
        self.see(home.host_link, True, source, destination, payload=payload)
        self.see(home.lan, False, source, destination, payload=payload)
        self.see(home.wan, True, to, destination, payload=payload)

    def send(
        self,
        sender: str,
        datagram: Datagram,
        round_: int,
        fate: Fate = Fate.DELIVERED,
        *,
        destination: Endpoint | None = None,
        translated: Endpoint | None = None,
    ) -> None:
        """One datagram from host to host that ends as `fate` says."""
        own, peer = HOME_OF[sender], HOME_OF[other(sender)]
        source = inside(sender, round_)
        target = destination or outside(peer.host, round_)
        shown = translated or outside(sender, round_)
        payload = encode(datagram)
        if fate is Fate.BLOCKED:
            self.see(own.host_link, True, source, target, payload=payload)
            self.see(own.lan, False, source, target, payload=payload)
            return
        self.leave(own, source, target, payload, shown)
        if fate is Fate.LOST:
            return
        if fate is Fate.EXPIRED:
            self.refuse(own.wan, False, Refused(Icmp.TIME_EXCEEDED, shown, target, payload))
            return
        self.see(peer.wan, False, shown, target, payload=payload)
        if fate is Fate.DROPPED:
            return
        if fate is Fate.TAKEN_BY_ROUTER:
            self.refuse(peer.wan, True, Refused(Icmp.UNREACHABLE, shown, target, payload))
            return
        private = inside(peer.host, round_)
        self.see(peer.lan, True, shown, private, payload=payload)
        self.see(peer.host_link, False, shown, private, payload=payload)
        if fate is Fate.PORT_CLOSED:
            by_host = Refused(Icmp.UNREACHABLE, shown, private, payload)
            self.refuse(peer.host_link, True, by_host)
            self.refuse(peer.lan, False, by_host)
            self.refuse(peer.wan, True, Refused(Icmp.UNREACHABLE, shown, target, payload))

    def refuse(self, point: str, outgoing: bool, quoted: Refused) -> None:
        router = Endpoint("203.0.113.1", 0)
        complains_to = Endpoint(quoted.source.address, 0)
        self.see(point, outgoing, router, complains_to, protocol=Protocol.ICMP, refused=quoted)

    def announce(self, host: str, round_: int) -> None:
        home, payload = (
            HOME_OF[host],
            encode(Announce(b"r" * 16, number(host, round_), round_)),
        )
        self.leave(home, inside(host, round_), SERVER, payload, outside(host, round_))
        self.see(SERVER_LINK, False, outside(host, round_), SERVER, payload=payload)

    def say(self, host: str, message: messages.Message) -> None:
        home = HOME_OF[host]
        self.see(
            home.host_link,
            True,
            Endpoint(INSIDE[host], 33_000),
            SERVER,
            payload=control.encode(message),
            protocol=Protocol.TCP,
        )

    def register(self) -> None:
        for host in HOME_OF:
            self.say(host, register(host, other(host), b"r" * 32, 1))

    def hello(
        self,
        round_: int,
        step: int,
        fate: Fate = Fate.DELIVERED,
        *,
        sender: str | None = None,
        copy: int = 0,
        tag: bytes | None = None,
        destination: Endpoint | None = None,
        translated: Endpoint | None = None,
    ) -> None:
        hello = Hello(tag or TAGS[round_], round_, step, step == 3, copy)
        self.send(
            sender or roles(round_)[(step + 1) % 2],
            hello,
            round_,
            fate,
            destination=destination,
            translated=translated,
        )

    def conclude(self, round_: int, *, established: bool = True) -> None:
        """CONFIRM, the word to the server, and data both ways."""
        first, second = roles(round_)
        self.send(second, Confirm(TAGS[round_], round_, False), round_)
        if established:
            self.say(first, messages.Established(1, round_))
            self.say(second, messages.Established(1, round_))
        self.data(first, round_)
        self.data(second, round_)

    def data(self, sender: str, round_: int, fate: Fate = Fate.DELIVERED) -> None:
        """Sealed: nobody but the hosts can tell what is in it."""
        sealed = b"question" if sender == "host_a" else b"answer"
        frame = Frame(Kind.DATA, bytes([Kind.DATA]) + b"0123456789" + sealed)
        self.send(sender, frame, round_, fate)

    def trace(self) -> Trace:
        return reconstruct(self.packets)


def opened(*rounds: int) -> Scene:
    scene = Scene()
    scene.register()
    for round_ in rounds:
        for host in HOME_OF:
            scene.announce(host, round_)
    return scene


def connected(first: Fate = Fate.DROPPED) -> Scene:
    """Two port-restricted cones: round 1 opens the hole, whatever becomes of HELLO 1."""
    scene = opened(1)
    scene.hello(1, 1, first)
    scene.hello(1, 2)
    scene.hello(1, 3)
    scene.conclude(1)
    return scene


def swapped() -> Scene:
    """A port-restricted cone and an order-sensitive NAT: round 1 fails, the swapped one opens."""
    scene = opened(1, 2)
    scene.hello(1, 1, Fate.TAKEN_BY_ROUTER)
    scene.hello(1, 2, Fate.DROPPED, translated=Endpoint(OUTSIDE["host_b"], 2527))
    scene.hello(1, 3, Fate.TAKEN_BY_ROUTER)
    scene.hello(2, 1, Fate.DROPPED)
    scene.hello(2, 2)
    scene.hello(2, 3)
    scene.conclude(2)
    return scene


def failed() -> Scene:
    """Two symmetric NATs: each shows its peer another port than it showed the server."""
    scene = opened(1, 2)
    for round_ in (1, 2):
        for step in (1, 2, 3):
            sender = roles(round_)[(step + 1) % 2]
            moved = Endpoint(OUTSIDE[sender], 60_000 + round_)
            scene.hello(round_, step, Fate.DROPPED, translated=moved)
    return scene
