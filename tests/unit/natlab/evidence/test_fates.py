"""What became of packets of any program, in words; and by which way two hosts reach each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Echo, Icmp, Packet, Protocol, Refused
from natlab.evidence.fates import Fates
from natlab.evidence.hops import TWO_NATS_SCENE, Scene
from natlab.evidence.records import records_of
from natlab.evidence.way import Kind, PathFound, path_between

A, A_OUTSIDE = Endpoint("10.0.1.2", 5000), Endpoint("203.0.113.2", 5000)
B, B_OUTSIDE = Endpoint("10.0.2.2", 7000), Endpoint("198.51.100.2", 7000)
SERVER = Endpoint("192.0.2.2", 3478)
_INSIDE = {"a": (A, A_OUTSIDE), "b": (B, B_OUTSIDE)}


class Wire:
    """Packets between the hosts, a millisecond for each link."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.now = 100.0

    def _at(self, point: str, outgoing: bool, source: Endpoint, to: Endpoint, data: bytes) -> None:
        self.now += 0.0005
        self.packets.append(Packet(self.now, point, outgoing, Protocol.UDP, source, to, data))

    def out(self, x: str, to: Endpoint, data: bytes) -> None:
        """From host x to its NAT and out of that."""
        own, outside = _INSIDE[x]
        self._at(f"host_{x}-eth0", True, own, to, data)
        self._at(f"nat_{x}-lan", False, own, to, data)
        self._at(f"nat_{x}-wan", True, outside, to, data)

    def to_nat(self, x: str, source: Endpoint, data: bytes) -> None:
        self._at(f"nat_{x}-wan", False, source, _INSIDE[x][1], data)

    def into(self, x: str, source: Endpoint, data: bytes) -> None:
        own, _ = _INSIDE[x]
        self.to_nat(x, source, data)
        self._at(f"nat_{x}-lan", True, source, own, data)
        self._at(f"host_{x}-eth0", False, source, own, data)

    def at_server(self, outgoing: bool, other: Endpoint, data: bytes) -> None:
        ways = (SERVER, other) if outgoing else (other, SERVER)
        self._at("server-eth0", outgoing, *ways, data)

    @property
    def fates(self) -> Fates:
        return Fates(self.packets, TWO_NATS_SCENE)


def test_a_drop_says_what_had_been_sent_from_that_endpoint_before() -> None:
    wire = Wire()
    wire.out("b", SERVER, b"binding")
    wire.at_server(False, B_OUTSIDE, b"binding")
    for number in range(3):
        wire.out("a", B_OUTSIDE, b"hole %d" % number)
        wire.to_nat("b", A_OUTSIDE, b"hole %d" % number)
    wire.out("b", A_OUTSIDE, b"late")
    (drop,) = wire.fates.drops()
    assert drop == (
        "nat_b dropped 3 datagrams from 203.0.113.2:5000: only 192.0.2.2:3478 had been sent to from"
        " 198.51.100.2:7000"
    )


def test_each_sighting_has_its_packets_fate() -> None:
    wire = Wire()
    wire.out("a", B_OUTSIDE, b"hole")
    wire.to_nat("b", A_OUTSIDE, b"hole")
    wire.out("b", A_OUTSIDE, b"through")
    wire.into("a", B_OUTSIDE, b"through")
    wire.out("a", SERVER, b"lost")
    told = [wire.fates.comments()[packet.point, packet.time] for packet in wire.packets]
    dropped = "host_a to nat_b: dropped here: nothing had been sent from 198.51.100.2:7000"
    assert told == [
        *[dropped] * 4,
        *["host_b to host_a: delivered"] * 6,
        *["host_a: lost after nat_a"] * 3,
    ]


def test_a_refusal_is_told_with_its_kind() -> None:
    wire = Wire()
    wire.out("a", B_OUTSIDE, b"hole")
    wire.to_nat("b", A_OUTSIDE, b"hole")
    refused = Refused(Icmp.UNREACHABLE, A_OUTSIDE, B_OUTSIDE, b"hole", code=3)
    ends = Endpoint(B_OUTSIDE.address, 0), Endpoint(A_OUTSIDE.address, 0)
    wire.packets.append(Packet(101.0, "nat_b-wan", True, Protocol.ICMP, *ends, b"", refused))
    (drop,) = wire.fates.drops()
    assert drop == (
        "nat_b refused 1 datagram from 203.0.113.2:5000 (ICMP port unreachable): nothing had been sent"
        " from 198.51.100.2:7000"
    )


def _relayed(wire: Wire, x: str, y: str, data: bytes) -> float:
    """From host x in a TURN channel, to host y as it is."""
    wire.out(x, SERVER, b"\x40\0\0\x08" + data)
    wire.at_server(False, _INSIDE[x][1], b"\x40\0\0\x08" + data)
    wire.at_server(True, _INSIDE[y][1], data)
    wire.into(y, SERVER, data)
    return wire.now


def _direct(wire: Wire, x: str, y: str, data: bytes) -> float:
    wire.out(x, _INSIDE[y][1], data)
    wire.into(y, _INSIDE[x][1], data)
    return wire.now


def test_a_path_is_what_went_both_ways_last_and_since_then() -> None:
    wire = Wire()
    assert path_between(wire.fates, "host_a", "host_b") == PathFound(Kind.NONE)
    _relayed(wire, "a", "b", b"hello from a, relayed")
    first = wire.now
    assert path_between(wire.fates, "host_a", "host_b") == PathFound(Kind.NONE, first=first)
    both = _relayed(wire, "b", "a", b"hello from b, relayed")
    relayed = path_between(wire.fates, "host_a", "host_b")
    assert relayed == PathFound(Kind.RELAYED, "server", both, first)
    assert str(relayed) == "relayed through server"
    _direct(wire, "a", "b", b"a again")
    both = _direct(wire, "b", "a", b"b again")
    _direct(wire, "a", "b", b"a once more")
    seen_as = (str(B_OUTSIDE), str(A_OUTSIDE))
    direct = PathFound(Kind.DIRECT, None, both, first, seen_as)
    assert path_between(wire.fates, "host_b", "host_a") == direct
    assert path_between(wire.fates, "host_b", "host_a", until=both).kind is Kind.RELAYED
    only_a = path_between(wire.fates, "host_a", "host_b", payload="a again|a once")
    assert only_a.kind is Kind.NONE


def test_what_a_server_says_by_itself_is_no_relaying() -> None:
    wire = Wire()
    for x in "ab":
        wire.out(x, SERVER, b"question of %s to the server" % x.encode())
        wire.at_server(False, _INSIDE[x][1], b"question of %s to the server" % x.encode())
        wire.at_server(True, _INSIDE[x][1], b"something else altogether")
        wire.into(x, SERVER, b"something else altogether")
    assert path_between(wire.fates, "host_a", "host_b").kind is Kind.NONE


def test_a_network_with_other_hosts_between_two_nats_has_no_records_for_the_diagram() -> None:
    wire = Wire()
    wire.out("b", A_OUTSIDE, b"hole")
    wire.into("a", B_OUTSIDE, b"hole")
    assert [each.receiver for each in records_of(wire.fates, TWO_NATS_SCENE, 0.0)] == ["host_a"]
    points = {
        point: node.replace("host_a", "host_a1") for point, node in TWO_NATS_SCENE.points.items()
    }
    shared = replace(TWO_NATS_SCENE, points=points)
    assert records_of(Fates(wire.packets, shared), shared, 0.0) == ()


XLAT = Scene(
    {"host_a-eth0": "host_a", "xlat_a-lan": "xlat_a", "xlat_a-wan": "xlat_a", "nat_a-lan": "nat_a"},
    ("host_a", "xlat_a", "nat_a"),
    frozenset({"xlat_a"}),
    own=frozenset({"2001:db8:a:1::1"}),
)
HOST6, SERVER6 = Endpoint("2001:db8:a:1::2", 5000), Endpoint("2001:db8:64::c000:202", 3478)
HOST4 = Endpoint("10.64.1.2", 5000)


def across(protocols: tuple[Protocol, Protocol], echo: Echo | None = None) -> list[Packet]:
    """A packet of host_a through the translator, of the one protocol before it and of the other behind it."""
    words = (
        ("host_a-eth0", True, protocols[0], HOST6, SERVER6),
        ("xlat_a-lan", False, protocols[0], HOST6, SERVER6),
        ("xlat_a-wan", True, protocols[1], HOST4, SERVER),
        ("nat_a-lan", False, protocols[1], HOST4, SERVER),
    )
    return [Packet(100 + n / 1000, *each, b"payload", echo=echo) for n, each in enumerate(words)]


@pytest.mark.parametrize(
    ("protocols", "echo"),
    [
        ((Protocol.UDP, Protocol.UDP), None),
        ((Protocol.ICMPV6, Protocol.ICMP), Echo(True, 7, 1)),
    ],
)
def test_a_packet_is_followed_through_a_translator(
    protocols: tuple[Protocol, Protocol], echo: Echo | None
) -> None:
    (travel,) = Fates(across(protocols, echo), XLAT).travels
    assert (travel.sender, travel.end, len(travel.hops)) == ("host_a", "nat_a", 2)


def test_a_question_to_the_translator_s_own_address_is_not_dropped_there() -> None:
    asked, elsewhere = Endpoint("2001:db8:a:1::1", 53), Endpoint("2001:db8:a:1::9", 53)
    for to, dropped in ((asked, None), (elsewhere, "xlat_a")):
        packets = [
            replace(each, destination=to) for each in across((Protocol.UDP, Protocol.UDP))[:2]
        ]
        (travel,) = Fates(packets, XLAT).travels
        assert travel.dropped_by == dropped


def test_a_translator_s_drop_has_no_reason_of_a_filter() -> None:
    (packet, arrived) = across((Protocol.UDP, Protocol.UDP))[:2]
    fates = Fates([packet, arrived], XLAT)
    assert fates.in_words == f"xlat_a dropped 1 datagram from {HOST6}"
