"""The rungs of neighbours, told apart by the addresses that hosts try by themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from nat_traversal.wire.datagrams import Announce, Datagram, Frame, Hello, Kind, encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.category import Category
from natlab.evidence.fates import Fates
from natlab.evidence.hops import Scene
from natlab.evidence.neighbours import NeighbourCase, conclude_neighbours, conduct_of
from natlab.evidence.result import Beside, CellResult

HOSTS = ("host_a", "host_b")
SERVER = Endpoint("192.0.2.2", 6545)
OWN = {"host_a": Endpoint("10.0.1.2", 40_001), "host_b": Endpoint("10.0.1.3", 40_002)}
OUTSIDE = {"host_a": Endpoint("203.0.113.2", 50_001), "host_b": Endpoint("203.0.113.2", 50_002)}
IPV6 = {"host_a": Endpoint("2001:db8::2", 40_001), "host_b": Endpoint("2001:db8::3", 40_002)}
POINTS = {"a-eth0": "host_a", "b-eth0": "host_b", "server-eth0": "server"}
SCENE = Scene(POINTS, (*HOSTS, "server"), frozenset())
POINT = {node: point for point, node in POINTS.items()}


def hello(round_: int, step: int) -> Hello:
    return Hello(b"t" * 8, round_, step, False)


@dataclass
class Story:
    """Packets between hosts on one link, each seen where it leaves and where it comes."""

    packets: list[Packet] = field(default_factory=list)

    def said(
        self, sender: str, what: Datagram, source: Endpoint, to: Endpoint, receiver: str | None
    ) -> None:
        now = 100.0 + len(self.packets) / 1000
        payload = encode(what)
        sent = Packet(now, POINT[sender], True, Protocol.UDP, source, to, payload)
        self.packets.append(sent)
        if receiver is not None:
            self.packets.append(
                replace(sent, time=now + 0.0005, point=POINT[receiver], outgoing=False)
            )

    def announces(self, outside: dict[str, Endpoint] = OUTSIDE) -> None:
        for number, host in enumerate(HOSTS):
            announce = Announce(bytes([number]) * 16, 1, 1)
            self.said(host, announce, outside[host], SERVER, "server")

    def talk(self, round_: int, at: dict[str, Endpoint], *, arrives: bool = True) -> None:
        for step, (one, other) in enumerate((HOSTS, HOSTS[::-1], HOSTS), 1):
            self.said(one, hello(round_, step), at[one], at[other], other if arrives else None)

    def data(self, at: dict[str, Endpoint]) -> None:
        for number, (one, other) in enumerate((HOSTS, HOSTS[::-1])):
            frame = Frame(Kind.DATA, bytes([Kind.DATA]) + bytes([number]) * 40)
            self.said(one, frame, at[one], at[other], other)

    def result(self, predicted: MethodName | None, told: str | None) -> CellResult:
        fates = Fates(self.packets, SCENE)
        own = {
            host: frozenset({OWN[host].address, IPV6[host].address, "203.0.113.2"})
            for host in HOSTS
        }
        nats = "symmetric", "symmetric"
        case = NeighbourCase(*nats, "shared_nat", HOSTS, predicted, True)
        conduct = conduct_of(fates, HOSTS, own)
        return conclude_neighbours(case, conduct, fates, 100.0, Beside(told))


def story(at: dict[str, Endpoint], round_: int = 2) -> Story:
    told = Story()
    told.announces()
    told.talk(1, OUTSIDE, arrives=round_ == 1)
    if round_ == 2:
        told.talk(2, at)
    told.data(at)
    return told


@pytest.mark.parametrize(
    ("at", "round_", "rung"),
    [
        (OWN, 2, MethodName.HOST),
        (IPV6, 2, MethodName.IPV6),
        (OUTSIDE, 1, MethodName.ORDERED_HELLO),
    ],
)
def test_the_packets_tell_the_rung(at: dict[str, Endpoint], round_: int, rung: MethodName) -> None:
    cell = story(at, round_).result(rung, rung)
    assert [check for check in cell.checks if not check.ok] == []
    assert cell.ok
    assert cell.first_datagram_ms is not None


def test_another_rung_than_the_predicted_one_is_not_so() -> None:
    cell = story(OWN).result(MethodName.ORDERED_HELLO, "host")
    assert [check.name for check in cell.checks if not check.ok] == [
        "the rung is the predicted one"
    ]


def test_a_client_that_names_another_rung_than_its_packets_show_is_found_out() -> None:
    cell = story(OWN).result(MethodName.HOST, "ordered-hello")
    assert [check.name for check in cell.checks if not check.ok] == [
        "the client names the rung that the packets show"
    ]


def test_helloes_in_another_order_than_the_contract_s_are_found_out() -> None:
    told = Story()
    told.announces()
    for step, (one, other) in ((2, HOSTS[::-1]), (1, HOSTS), (3, HOSTS)):
        told.said(one, hello(1, step), OUTSIDE[one], OUTSIDE[other], other)
    told.data(OUTSIDE)
    cell = told.result(MethodName.ORDERED_HELLO, "ordered-hello")
    assert [check.name for check in cell.checks if not check.ok] == [
        "the HELLOs of round 1 left in the contract's order"
    ]


def test_over_ipv6_alone_a_path_is_the_contract_s() -> None:
    told = Story()
    told.announces(IPV6)
    told.talk(1, IPV6)
    told.data(IPV6)
    cell = told.result(MethodName.ORDERED_HELLO, "ordered-hello")
    assert [check for check in cell.checks if not check.ok] == []


@pytest.mark.parametrize("steps", [(2, 3), (2,), (1, 2)])
def test_a_host_that_leaves_out_a_hello_is_found_out(steps: tuple[int, ...]) -> None:
    told = Story()
    told.announces()
    for step, (one, other) in enumerate((HOSTS, HOSTS[::-1], HOSTS), 1):
        if step in steps:
            told.said(one, hello(1, step), OUTSIDE[one], OUTSIDE[other], other)
    told.data(OUTSIDE)
    cell = told.result(MethodName.ORDERED_HELLO, "ordered-hello")
    (check,) = (each for each in cell.checks if "contract's order" in each.name)
    assert not check.ok


def test_a_pair_without_a_path_that_another_program_could_have_opened_is_missed() -> None:
    told = Story()
    told.announces()
    told.said("host_b", hello(1, 2), OUTSIDE["host_b"], OUTSIDE["host_a"], None)
    assert told.result(None, None).category is Category.MISSED
