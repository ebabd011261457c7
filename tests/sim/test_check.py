"""A check behind model NATs, with the server's real answers, on a virtual clock: the verdict is the NAT's definition."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

import pytest

from nat_traversal.check import questions as q
from nat_traversal.check.judge import ONE_ADDRESS, verdict
from nat_traversal.check.machine import Check
from nat_traversal.check.verdict import Pooling, Udp, Verdict
from nat_traversal.machine.counters import Counters
from nat_traversal.server.stun import Alternate, StunAnswers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NINE, Protocols
from natlab.oracle.model import ModelNat
from natlab.presets import PRESETS, REAL_WORLD, preset
from tests.nats import seen_from_inside
from tests.seeds import seeds

SERVER = Endpoint("192.0.2.2", 6545)
OTHER = Endpoint("192.0.2.3", 6546)
PUBLIC, INSIDE = "203.0.113.2", "10.0.1.2"
EVERY = sorted(
    {*PRESETS, *REAL_WORLD, *NINE}
    | {f"{nat}+{allocation}" for nat in NINE for allocation in PortAllocation}
)


class World:
    """One host behind a model NAT, and a server; 10 ms each way."""

    def __init__(
        self,
        nat: str,
        *,
        seed: int = 1,
        loss: float = 0.0,
        alternate: bool = True,
        packet: int = 1500,
        lifetime: float = 0.0,
        foreign: float = 0.0,
        silent_from: Endpoint | None = None,
    ) -> None:
        self.behavior = preset(nat).behavior
        self.rng = random.Random(seed)
        self.nat = ModelNat(self.behavior, PUBLIC, self.rng)
        self.inside = INSIDE if self.behavior else PUBLIC
        self.loss = loss
        self.packet = packet
        self.silent_from = silent_from
        self.now = 0.0
        self.sent: list[float] = []
        """When a request reached the server."""
        both = Alternate(SERVER, OTHER) if alternate else None
        self.server = StunAnswers(ServerSettings(), Counters(), both)
        self.endpoints = both.endpoints if both else (SERVER,)
        self.sockets: dict[str, Endpoint] = {}
        self._ports = iter(self.rng.sample(range(32_768, 60_999), 200))
        self._ahead: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        known = q.Known(server=SERVER, inside=self.inside, lifetime=lifetime)
        self.check = Check(known, random.Random(seed + 1))
        if foreign:
            self._foreign(foreign)

    def run(self) -> Verdict:
        self.over = False
        self._events: list[q.Event] = []
        self._busy = True
        self._carry_out(self.check.begin(self.now))
        self._catch_up()
        while not self.over:
            deadline = self.check.deadline()
            due = self._ahead[0][0] if self._ahead else None
            if due is not None and (deadline is None or due <= deadline):
                self.now, _, call = heapq.heappop(self._ahead)
                call()
            else:
                assert deadline is not None, "nothing is due, and it is not over"
                self.now = max(self.now, deadline)
                self._feed(q.TimerFired())
        return verdict(self.check.known)

    def _feed(self, event: q.Event) -> None:
        """Events that come up while actions are carried out wait their turn."""
        self._events.append(event)
        if not self._busy:
            self._catch_up()

    def _catch_up(self) -> None:
        self._busy = True
        while self._events:
            self._carry_out(self.check.handle(self._events.pop(0), self.now))
        self._busy = False

    def _carry_out(self, actions: list[q.Action]) -> None:
        for action in actions:
            match action:
                case q.Open(socket):
                    self.sockets[socket] = Endpoint(self.inside, next(self._ports))
                    self._feed(q.Opened(socket, self.sockets[socket]))
                case q.Send(socket, octets, to):
                    self._send(socket, octets, to)
                case q.TryTcp():
                    self._later(0.02, lambda: self._feed(q.TcpTried(q.Tcp.OPEN, self._pings())))
                case q.Finished():
                    self.over = True

    def _pings(self) -> bool:
        return self.behavior is not None and self.behavior.protocols is Protocols.NO_UDP

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._ahead, (self.now + seconds, next(self._numbers), call))

    def _send(self, socket: str, octets: bytes, to: Endpoint) -> None:
        source = self.sockets[socket]
        if len(octets) + 28 > self.packet or (self.behavior and self.behavior.blocks_udp):
            return
        if to.address == PUBLIC:
            shown, fate = self.nat.hairpin(source, to, self.now)
            # Linux drops what seems to come from itself.
            if fate.internal is not None and shown.address != self.inside:
                self._deliver(octets, shown, fate.internal)
            return
        if self.rng.random() < self.loss / 2:  # before the NAT, which then makes no mapping
            return
        shown = self.nat.outbound(source, to, self.now)
        if self.rng.random() >= self.loss:
            self._later(0.01, lambda: self._at_server(octets, shown, to))

    def _at_server(self, octets: bytes, source: Endpoint, asked: Endpoint) -> None:
        self.sent.append(self.now)
        answer = self.server.answer(octets, source, self.now, asked if self.endpoints[1:] else None)
        if answer is None or self.rng.random() < self.loss:
            return
        origin = answer.origin or asked
        if self.silent_from is not None and origin.port == self.silent_from.port:
            return
        self._later(0.01, lambda: self._at_nat(answer.octets, origin, answer.destination))

    def _at_nat(self, octets: bytes, origin: Endpoint, destination: Endpoint) -> None:
        internal = self.nat.inbound(origin, destination, self.now)
        if internal is not None:
            self._deliver(octets, origin, internal)

    def _deliver(self, octets: bytes, source: Endpoint, internal: Endpoint) -> None:
        for socket, endpoint in list(self.sockets.items()):
            if endpoint == internal:
                self._feed(q.Arrived(socket, octets, source))

    def _foreign(self, rate: float) -> None:
        """Others behind the NAT open flows."""
        port = 20_000 + next(self._numbers)
        self.nat.outbound(Endpoint("10.0.1.9", port), Endpoint("198.51.100.9", 53), self.now)
        self._later(self.rng.expovariate(rate), lambda: self._foreign(rate))


@pytest.mark.parametrize("nat", EVERY)
def test_the_verdict_is_the_nats_definition(nat: str) -> None:
    found = World(nat).run()
    assert found.id == seen_from_inside(nat), found.as_json()
    behavior = preset(nat).behavior
    blocked = behavior is not None and behavior.blocks_udp
    assert found.udp == (behavior.protocols if behavior and blocked else Udp.PASSES)
    if not blocked:
        assert found.nat is (behavior is not None)
        assert found.mtu == 1500
        assert found.addresses == (PUBLIC,)
        assert found.pooling is (Pooling.PAIRED if behavior else None)


@seeds(3)
@pytest.mark.parametrize("nat", ["EIM+APDF", "linux-masquerade", "APDM+ADF+sequential", "cgnat"])
def test_a_tenth_of_all_packets_lost_and_foreign_flows_change_no_verdict(
    nat: str, seed: int
) -> None:
    found = World(nat, seed=seed, loss=0.1, foreign=10.0).run()
    wrong = found.id is not None and found.id != seen_from_inside(nat)
    assert not wrong, found.as_json()


def test_a_server_hears_at_most_nine_requests_in_any_second() -> None:
    world = World("EIM+APDF")
    world.run()
    most = max(sum(at <= each < at + 0.999 for each in world.sent) for at in world.sent)
    assert most == 9
    assert world.now < 8.0


def test_a_server_with_one_address_tells_much_and_nothing_is_guessed() -> None:
    found = World("APDM+APDF+sequential", alternate=False).run()
    assert (found.mapping, found.filtering, found.order_sensitive) == (None, None, None)
    assert {found.not_told[name] for name in ("mapping", "filtering", "order_sensitive")} == {
        ONE_ADDRESS
    }
    assert found.allocation is PortAllocation.SEQUENTIAL
    assert (found.nat, found.mtu, found.hairpin) == (True, 1500, Hairpin.NONE)
    assert found.id is None


def test_a_server_that_announces_another_address_and_is_silent_there_is_no_filter() -> None:
    """Else a lame server would make every NAT a strict one."""
    found = World("EIM+EIF", silent_from=OTHER).run()
    assert found.filtering is None
    assert "does not answer" in found.not_told["filtering"]


def test_silence_from_the_other_port_is_told_as_such_where_the_filter_was_opened() -> None:
    class Lame(World):
        """Its server answers from where it is asked alone."""

        def _at_server(self, octets: bytes, source: Endpoint, asked: Endpoint) -> None:
            changes = bytes.fromhex("00030004") in octets
            if not changes:
                super()._at_server(octets, source, asked)

    found = Lame("EIM+EIF").run()
    assert (found.mapping, found.filtering) == (Mapping.ENDPOINT_INDEPENDENT, None)
    assert "also where nothing can keep it out" in found.not_told["filtering"]
    assert found.order_sensitive is None


@pytest.mark.parametrize(("packet", "least"), [(1492, 1492), (1400, 1400), (1442, 1435)])
def test_the_mtu_is_found_within_eight_octets(packet: int, least: int) -> None:
    found = World("EIM+APDF", packet=packet).run()
    assert found.mtu is not None
    assert least <= found.mtu <= packet


@pytest.mark.parametrize(
    ("nat", "between"),
    [
        ("EIM+APDF+65s", (60.0, 90.0)),
        ("APDM+ADF+30s", (20.0, 45.0)),
        ("EIM+EIF+absolute+100s", (90.0, 120.0)),
        ("EIM+EIF+500s", (240.0, None)),
    ],
)
def test_a_lifetime_is_found_between_two_ages(
    nat: str, between: tuple[float, float | None]
) -> None:
    found = World(nat, lifetime=240).run()
    assert found.lifetime is not None
    low, high = found.lifetime
    assert low >= between[0]
    assert high == between[1] or (high is not None and between[1] and high <= between[1])


def test_a_firewall_without_translation_is_no_nat_and_filters() -> None:
    class Firewall(World):
        """It lets in only answers."""

        def _at_nat(self, octets: bytes, origin: Endpoint, destination: Endpoint) -> None:
            if (origin, destination) in self.asked:
                super()._at_nat(octets, origin, destination)

        def _send(self, socket: str, octets: bytes, to: Endpoint) -> None:
            self.asked.add((to, self.sockets[socket]))
            super()._send(socket, octets, to)

        asked: set[tuple[Endpoint, Endpoint]]

    world = Firewall("none")
    world.asked = set()
    found = world.run()
    assert (found.nat, found.id) == (False, None)
    assert found.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT
    assert found.allocation is None


@pytest.mark.parametrize("answered", [set(), {"nat-pmp", "upnp"}, {"pcp"}])
def test_the_router_is_asked_and_its_silence_is_told(answered: set[str]) -> None:
    said = {
        "pcp": bytes([2, 0x80]) + bytes(22),
        "nat-pmp": bytes([0, 0x80]) + bytes(10),
        "upnp": b"HTTP/1.1 200 OK\r\nST: urn:x:device:InternetGatewayDevice:1\r\n\r\n",
    }

    class Router(World):
        """It answers some protocols, and no mapping is ever asked for."""

        def _send(self, socket: str, octets: bytes, to: Endpoint) -> None:
            if socket not in said:
                super()._send(socket, octets, to)
            elif socket in answered:
                self._later(0.002, lambda: self._feed(q.Arrived(socket, said[socket], to)))

    world = Router("EIM+APDF")
    world.check.known.router = "10.0.1.1"
    found = world.run()
    assert found.port_mapping == {name: name in answered for name in said}
    assert found.id == "EIM+APDF"
    assert "port_mapping" not in found.not_told
