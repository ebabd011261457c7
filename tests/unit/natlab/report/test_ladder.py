"""The text ladder: hops from packets, and what a NAT did not send on."""

from __future__ import annotations

from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Echo, Fragment, Icmp, Packet, Protocol, Refused
from natlab.evidence.hops import Scene, hops
from natlab.report.text_ladder import draw

INSIDE = Endpoint("10.0.1.2", 5000)
MAPPED = Endpoint("203.0.113.2", 6000)
SERVER = Endpoint("192.0.2.2", 3478)
PEER = Endpoint("198.51.100.2", 7000)


def packet(time: float, point: str, outgoing: bool, source: Endpoint, to: Endpoint) -> Packet:
    return Packet(time, point, outgoing, Protocol.UDP, source, to, b"hi")


TO_SERVER = [
    packet(1.0, "host_a-eth0", True, INSIDE, SERVER),
    packet(1.1, "nat_a-lan", False, INSIDE, SERVER),
    packet(1.2, "nat_a-wan", True, MAPPED, SERVER),
    packet(1.3, "server-eth0", False, MAPPED, SERVER),
]
DROPPED = [
    packet(2.0, "nat_a-wan", True, MAPPED, PEER),
    packet(2.1, "nat_b-wan", False, MAPPED, PEER),
]


def test_a_packet_is_one_hop_on_each_link() -> None:
    found = [(hop.sender, hop.receiver, hop.goes_on) for hop in hops(TO_SERVER)]
    assert found == [("host_a", "nat_a", True), ("nat_a", "server", True)]


def test_what_a_nat_does_not_send_on_ended_there() -> None:
    (hop,) = hops(DROPPED)
    assert (hop.receiver, hop.goes_on) == ("nat_b", False)


def test_a_repetition_is_not_taken_for_the_packet_that_went_on() -> None:
    again = [
        packet(3.0, "nat_a-wan", True, MAPPED, PEER),
        packet(3.1, "nat_b-wan", False, MAPPED, PEER),
        packet(3.2, "nat_b-lan", True, MAPPED, Endpoint("10.0.2.2", 7000)),
        packet(3.3, "host_b-eth0", False, MAPPED, Endpoint("10.0.2.2", 7000)),
    ]
    found = [(hop.packet.time, hop.receiver) for hop in hops([*again, *TO_SERVER[2:]])]
    assert found == [(1.2, "server"), (3.0, "nat_b"), (3.2, "host_b")]
    assert [hop for hop in hops(again) if not hop.goes_on] == []


def test_what_came_to_no_node_is_lost() -> None:
    (hop,) = hops(DROPPED[:1])
    assert hop.receiver is None


def test_the_diagram_shows_who_sent_where_and_where_it_ended() -> None:
    head, *rows, _legend = draw([*TO_SERVER, *DROPPED]).splitlines()
    assert head.split() == ["host_a", "nat_a", "server", "nat_b", "host_b"]
    lanes = " " * 7 + "           ".join("|" * 5) + " " * 6
    lan = lanes.replace("|           |", "o---------->|", 1)
    wan = lanes[:12] + lanes[12:].replace("|           |", "o---------->|", 1)
    lost = lanes[:12] + lanes[12:].replace(
        "|           |           |", "o-----------------------x", 1
    )
    assert rows == [
        f"  0.000000{lan}UDP 10.0.1.2:5000 > 192.0.2.2:3478, 2 octets hi",
        f"  0.200000{wan}UDP 203.0.113.2:6000 > 192.0.2.2:3478, 2 octets hi",
        f"  1.000000{lost}UDP 203.0.113.2:6000 > 198.51.100.2:7000, 2 octets hi: ended at nat_b",
    ]


def test_an_error_of_a_router_between_the_lanes_is_a_hop_that_begins_there() -> None:
    router = Endpoint("203.0.113.1", 0)
    about = (Refused(Icmp.TIME_EXCEEDED, source, PEER, b"") for source in (MAPPED, INSIDE))
    outer, inner = (
        [
            Packet(time, point, outgoing, Protocol.ICMP, router, to, b"", refused)
            for time, point, outgoing in points
        ]
        for to, refused, points in (
            (Endpoint(MAPPED.address, 0), next(about), [(2.0, "nat_a-wan", False)]),
            (
                Endpoint(INSIDE.address, 0),
                next(about),
                [(2.1, "nat_a-lan", True), (2.2, "host_a-eth0", False)],
            ),
        )
    )
    found = [(hop.sender, hop.receiver, hop.goes_on) for hop in hops([*outer, *inner])]
    assert found == [(None, "nat_a", True), ("nat_a", "host_a", True)]
    _, first, *_ = draw([*outer, *inner]).splitlines()
    assert "|           |<----o     |" in first
    assert first.endswith(
        "ICMP time exceeded from 203.0.113.1 about 203.0.113.2:6000 > 198.51.100.2:7000"
    )


def test_seconds_without_a_packet_are_a_break_and_the_signs_are_explained() -> None:
    later = [packet(4.7, "host_a-eth0", True, INSIDE, SERVER)]
    _, first, second, pause, last, legend = draw([*TO_SERVER, *later]).splitlines()
    lanes = "           ".join(":" * 5)
    assert (first[:10], second[:10], last[:10]) == ("  0.000000", "  0.200000", "  3.700000")
    assert pause == f"       ...       {lanes}      3.5 s pass"
    for sign in ("o ", "> ", "< ", "x ", "... "):
        assert sign in legend


def test_of_two_equal_packets_the_one_that_a_nat_sent_on_is_told_from_the_one_it_dropped() -> None:
    passed = [
        packet(3.0, "nat_a-wan", True, MAPPED, PEER),
        packet(3.1, "nat_b-wan", False, MAPPED, PEER),
        packet(3.2, "nat_b-lan", True, MAPPED, Endpoint("10.0.2.2", 7000)),
    ]
    assert [hop.goes_on for hop in hops([*DROPPED, *passed])][:2] == [False, True]


def _star(hosts: int) -> Scene:
    """Hosts without a NAT, but for the last one behind `the_gateway_to_it`."""
    names = [f"host_{number}" for number in range(1, hosts + 1)]
    points = {f"{name}-eth0": name for name in (*names, "server")}
    points |= {"gate-lan": "the_gateway_to_it", "gate-wan": "the_gateway_to_it"}
    lanes = (*names[:1], "server", *names[1:-1], "the_gateway_to_it", names[-1])
    return Scene(points, lanes, frozenset({"the_gateway_to_it"}))


def test_another_scene_has_its_own_lanes_and_nats() -> None:
    lost = [
        packet(1.0, "host_1-eth0", True, INSIDE, PEER),
        packet(1.1, "gate-wan", False, INSIDE, PEER),
    ]
    (hop,) = hops(lost, _star(2))
    assert (hop.receiver, hop.goes_on) == ("the_gateway_to_it", False)
    head, row, _legend = draw(lost, _star(2)).splitlines()
    assert head.split() == ["host_1", "server", "the_gateway_to_it", "host_2"]
    assert (
        row[11:].index("x") == head[11:].index("the_gateway_to_it") + len("the_gateway_to_it") // 2
    )
    assert row.endswith("ended at the_gateway_to_it")


def test_in_a_large_scene_only_those_who_took_part_have_lanes() -> None:
    sent = [
        packet(1.0, "host_3-eth0", True, INSIDE, PEER),
        packet(1.1, "host_17-eth0", False, INSIDE, PEER),
    ]
    head, row, _legend = draw(sent, _star(20)).splitlines()
    assert head.split() == ["host_3", "host_17"]
    assert "o---------->|" in row


def test_an_icmp_error_says_what_it_complains_of() -> None:
    router = Endpoint("198.51.100.2", 0)
    error = Packet(
        4.0,
        "nat_b-wan",
        True,
        Protocol.ICMP,
        router,
        Endpoint(MAPPED.address, 0),
        b"",
        Refused(Icmp.UNREACHABLE, MAPPED, PEER, b"hi", code=3),
    )
    assert (
        "ICMP port unreachable from 198.51.100.2 about 203.0.113.2:6000 > 198.51.100.2:7000: reached"
        " nobody" in draw([error])
    )


def test_an_empty_capture_is_said_to_be_empty() -> None:
    assert draw([]) == "No UDP, TCP or ICMP was captured.\n"


def test_sizes_echoes_and_fragments_are_in_words() -> None:
    def row(**values: object) -> str:
        fields: dict[str, object] = {"payload": b"", "protocol": Protocol.ICMP, **values}
        source, to = Endpoint("10.0.1.2", 0), Endpoint("192.0.2.2", 0)
        return draw(
            [Packet(1.0, "host_a-eth0", True, source=source, destination=to, **fields)]  # type: ignore[arg-type]
        )

    too_big = Refused(Icmp.UNREACHABLE, INSIDE, PEER, b"", code=4, mtu=1400)
    assert "ICMP fragmentation needed (MTU 1400) from 10.0.1.2 about" in row(refused=too_big)
    assert "ICMP echo request 3 10.0.1.2 > 192.0.2.2, 2 octets" in row(
        echo=Echo(True, 7, 3), payload=b"hi"
    )
    later = row(protocol=Protocol.FRAGMENT, fragment=Fragment(1480, False, 1), payload=b"hi")
    assert (
        "fragment 10.0.1.2 > 192.0.2.2, 2 octets at 1480 of a packet in fragments, the last"
        in later
    )
